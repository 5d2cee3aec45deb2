-- What a channel keeps, where that is not what the hub keeps. Null: the hub's; 0: no limit.
ALTER TABLE channels ADD COLUMN keep_days INTEGER;
ALTER TABLE channels ADD COLUMN keep_messages INTEGER;

-- Retention does not look for what it removes in the search index: it counts it here. Once that is most of the index,
-- the index is made anew from what is left.
ALTER TABLE bus ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bus ADD COLUMN stale_before INTEGER NOT NULL DEFAULT 0; -- when making it anew began

-- FTS5 merges when it is told to, a small step at a time. By itself it held the write lock for 0.7 s every 130,000
-- messages, and for 0.3 s when a part of the index had mostly been deleted.
INSERT INTO message_words (message_words, rank) VALUES ('automerge', 0), ('crisismerge', 1999), ('deletemerge', 0), ('usermerge', 16);
