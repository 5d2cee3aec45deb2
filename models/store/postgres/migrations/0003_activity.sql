-- A paused channel takes no messages. Its reason is what senders are told.
ALTER TABLE channels ADD COLUMN paused_at BIGINT;
ALTER TABLE channels ADD COLUMN pause_reason TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX channels_paused ON channels (name) WHERE paused_at IS NOT NULL;

-- How many messages each sender stored in a channel in an hour, as far as the search index knows them.
CREATE TABLE activity (
  channel  TEXT COLLATE "C" NOT NULL,
  hour     BIGINT NOT NULL, -- since 1970
  sender   TEXT COLLATE "C" NOT NULL,
  messages BIGINT NOT NULL,
  PRIMARY KEY (channel, hour, sender)
);
CREATE INDEX activity_by_hour ON activity (hour);
-- Of what is there already the newest messages are counted, so that a large database opens soon.
INSERT INTO activity (channel, hour, sender, messages)
SELECT channel, created_at / 3600000, sender, count(*) FROM messages
WHERE id > (SELECT last_id FROM bus) - 100000 AND id <= (SELECT indexed_id FROM bus) GROUP BY 1, 2, 3;
