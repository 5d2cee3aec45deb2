-- How many bytes the messages of each channel have, as far as the search index knows them.
CREATE TABLE usage (
  channel TEXT    PRIMARY KEY,
  bytes   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO usage (channel, bytes)
SELECT channel, sum(octet_length(content)) FROM messages WHERE id <= (SELECT indexed_id FROM bus) GROUP BY channel;
