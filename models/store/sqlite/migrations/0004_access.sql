-- Counts the changes of what is below, so that every process sees with one read that something has changed.
CREATE TABLE access (
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL
);
INSERT INTO access VALUES (1, 0);

-- Named keys. Of the secret only its SHA-256 is kept.
CREATE TABLE keys (
  name       TEXT    PRIMARY KEY,
  hash       TEXT    NOT NULL UNIQUE,
  scope      TEXT    NOT NULL,
  channels   TEXT    NOT NULL, -- names and patterns, separated by commas; empty: all
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL DEFAULT 0, -- 0: never
  last_used  INTEGER NOT NULL DEFAULT 0, -- 0: not yet
  revoked_at INTEGER NOT NULL DEFAULT 0  -- 0: it is not
) WITHOUT ROWID;

-- Names that belong to a credential of its own.
CREATE TABLE owned_names (
  fold     TEXT    PRIMARY KEY, -- the form that it has in common with those that look alike
  instance TEXT    NOT NULL,
  owner    TEXT    NOT NULL, -- a principal
  since    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX owned_names_by_owner ON owned_names (owner);
