-- Counts the changes of what is below, so that every process sees with one read that something has changed.
CREATE TABLE access (
  one     BIGINT PRIMARY KEY CHECK (one = 1),
  version BIGINT NOT NULL
);
INSERT INTO access VALUES (1, 0);

-- Named keys. Of the secret only its SHA-256 is kept.
CREATE TABLE keys (
  name       TEXT COLLATE "C" PRIMARY KEY,
  hash       TEXT COLLATE "C" NOT NULL UNIQUE,
  scope      TEXT COLLATE "C" NOT NULL,
  channels   TEXT COLLATE "C" NOT NULL, -- names and patterns, separated by commas; empty: all
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL DEFAULT 0, -- 0: never
  last_used  BIGINT NOT NULL DEFAULT 0, -- 0: not yet
  revoked_at BIGINT NOT NULL DEFAULT 0  -- 0: it is not
);

-- Names that belong to a credential of its own.
CREATE TABLE owned_names (
  fold     TEXT COLLATE "C" PRIMARY KEY, -- the form that it has in common with those that look alike
  instance TEXT COLLATE "C" NOT NULL,
  owner    TEXT COLLATE "C" NOT NULL, -- a principal
  since    BIGINT NOT NULL
);
CREATE INDEX owned_names_by_owner ON owned_names (owner);
