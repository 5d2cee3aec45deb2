-- How many bytes the messages of each channel have, as far as the search index knows them.
CREATE TABLE usage (
  channel TEXT COLLATE "C" PRIMARY KEY,
  bytes   BIGINT NOT NULL
);
INSERT INTO usage (channel, bytes)
SELECT channel, sum(octet_length(content)) FROM messages WHERE id <= (SELECT indexed_id FROM bus) GROUP BY channel;
