-- The same tables as in SQLite. All text is in collation C: what is equal, what comes first and what is the same letter
-- does not depend on the database's language.

-- The bus itself: one row, whose lock orders all appends.
CREATE TABLE bus (
  one        BIGINT PRIMARY KEY CHECK (one = 1),
  bus_id     TEXT COLLATE "C" NOT NULL, -- changes when the database is replaced
  last_id    BIGINT NOT NULL, -- id of the newest message
  last_at    BIGINT NOT NULL, -- its time: times never go back
  pruned_id  BIGINT NOT NULL, -- the greatest id that retention removed
  indexed_id BIGINT NOT NULL  -- the search index knows all up to here
) WITH (fillfactor = 10);
INSERT INTO bus VALUES (1, left(replace(gen_random_uuid()::text, '-', ''), 16), 0, 0, 0, 0);

-- The last batch that each process committed, for one whose answer was lost.
CREATE TABLE writers (
  node  TEXT COLLATE "C" PRIMARY KEY,
  batch BIGINT NOT NULL,
  at    TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);

-- The process that keeps the search index and removes what is too old, as long as it holds.
CREATE TABLE tending (
  one   BIGINT PRIMARY KEY CHECK (one = 1),
  node  TEXT COLLATE "C" NOT NULL,
  until TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 10);
INSERT INTO tending VALUES (1, '', '-infinity');

CREATE TABLE channels (
  name            TEXT COLLATE "C" PRIMARY KEY,
  description     TEXT COLLATE "C" NOT NULL DEFAULT '',
  created_at      BIGINT NOT NULL,
  last_seq        BIGINT NOT NULL DEFAULT 0,
  message_count   BIGINT NOT NULL DEFAULT 0,
  last_id         BIGINT,
  last_message_at BIGINT,
  pruned_id       BIGINT NOT NULL DEFAULT 0, -- the greatest id that retention removed here
  active_senders  TEXT COLLATE "C" NOT NULL DEFAULT '' -- of the day before the last message, newest first
);
CREATE INDEX channels_by_activity ON channels (last_id DESC NULLS LAST, created_at DESC, name);
INSERT INTO channels (name, description, created_at) VALUES ('general', 'The channel for everyone', (extract(epoch FROM clock_timestamp()) * 1000)::bigint);

CREATE TABLE messages (
  id           BIGINT PRIMARY KEY,
  seq          BIGINT NOT NULL,
  channel      TEXT COLLATE "C" NOT NULL,
  sender       TEXT COLLATE "C" NOT NULL,
  kind         TEXT COLLATE "C" NOT NULL,
  verified     BOOLEAN NOT NULL,
  message_type TEXT COLLATE "C" NOT NULL,
  in_reply_to  BIGINT,
  reply_count  BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL,
  content      TEXT COLLATE "C" NOT NULL
);
-- With id + 0 these indexes alone can put a channel's messages in order, and a parent's replies.
CREATE INDEX messages_by_channel ON messages (channel, (id + 0));
CREATE INDEX messages_by_parent ON messages (in_reply_to, (id + 0)) WHERE in_reply_to IS NOT NULL;

CREATE TABLE participants (
  channel TEXT COLLATE "C" NOT NULL,
  sender  TEXT COLLATE "C" NOT NULL,
  last_at BIGINT NOT NULL, -- to the minute
  PRIMARY KEY (channel, sender)
);
CREATE INDEX participants_by_time ON participants (channel, last_at);

CREATE TABLE idempotency (
  principal  TEXT COLLATE "C" NOT NULL,
  sender     TEXT COLLATE "C" NOT NULL,
  key        TEXT COLLATE "C" NOT NULL,
  message_id BIGINT NOT NULL,
  seq        BIGINT NOT NULL,
  digest     TEXT COLLATE "C" NOT NULL, -- of what was sent: the same key with another body is a conflict
  created_at BIGINT NOT NULL,
  PRIMARY KEY (principal, sender, key)
);
CREATE INDEX idempotency_by_time ON idempotency (created_at);

CREATE TABLE instances (
  id            TEXT COLLATE "C" PRIMARY KEY,
  description   TEXT COLLATE "C" NOT NULL DEFAULT '',
  model         TEXT COLLATE "C" NOT NULL DEFAULT '',
  kind          TEXT COLLATE "C" NOT NULL,
  registered_id BIGINT NOT NULL, -- the head of the bus when it first registered
  last_seen     BIGINT NOT NULL,
  holder        TEXT COLLATE "C" NOT NULL DEFAULT '', -- the live connection that speaks for it
  holder_node   TEXT COLLATE "C" NOT NULL DEFAULT ''  -- the process that has this connection
);
CREATE INDEX instances_by_time ON instances (last_seen);

-- Processes that have live connections. What a process held is free once its row is old or gone.
CREATE TABLE nodes (
  id      TEXT COLLATE "C" PRIMARY KEY,
  seen_at BIGINT NOT NULL
);

CREATE TABLE shared_data (
  key         TEXT COLLATE "C" PRIMARY KEY,
  created_by  TEXT COLLATE "C" NOT NULL,
  description TEXT COLLATE "C" NOT NULL,
  channel     TEXT COLLATE "C" NOT NULL,
  size_bytes  BIGINT NOT NULL,
  version     BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  content     TEXT COLLATE "C" NOT NULL
);
CREATE INDEX shared_data_by_time ON shared_data (created_at);

-- Words are cut before they come here.
CREATE TABLE message_words (
  id    BIGINT PRIMARY KEY,
  words TSVECTOR NOT NULL
);
CREATE INDEX message_words_by_word ON message_words USING gin (words);
