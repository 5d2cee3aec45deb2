-- How far each instance has read each channel that it uses.
CREATE TABLE positions (
  instance TEXT    NOT NULL,
  channel  TEXT    NOT NULL,
  read_id  INTEGER,                  -- all up to here was read; null: it has never read here
  shown_id INTEGER NOT NULL DEFAULT 0, -- all up to here was shown, once
  shown_by TEXT    NOT NULL DEFAULT '', -- over this connection
  PRIMARY KEY (instance, channel)
) WITHOUT ROWID;

-- Open waits, in the order in which they began. A wait on several channels has a row for each.
CREATE TABLE waits (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  wait      TEXT    NOT NULL,
  asked     TEXT    NOT NULL, -- the channel, or * for all that the instance uses
  channel   TEXT    NOT NULL,
  instance  TEXT    NOT NULL,
  principal TEXT    NOT NULL,
  role      TEXT    NOT NULL,
  since     INTEGER NOT NULL,
  node      TEXT    NOT NULL  -- the process that has it: the wait counts while that one lives
);
CREATE INDEX waits_by_channel ON waits (channel);
CREATE INDEX waits_by_wait ON waits (wait);

-- When a waiter of a channel, which need not exist yet, was last told that everybody there waits.
CREATE TABLE mutual_waits (
  channel TEXT    PRIMARY KEY,
  told_at INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE instances ADD COLUMN last_channel TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN left_at INTEGER NOT NULL DEFAULT 0; -- it said that it goes
ALTER TABLE instances ADD COLUMN held_at INTEGER NOT NULL DEFAULT 0; -- since when its holder has it
