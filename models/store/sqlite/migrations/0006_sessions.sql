-- People signed in at the dashboard. Of the token that their browser holds only its SHA-256 is kept.
CREATE TABLE sessions (
  hash       TEXT    PRIMARY KEY,
  person     TEXT    NOT NULL,
  key_hash   TEXT    NOT NULL, -- of the named key that was shown; empty for the shared one, or none
  proof      TEXT    NOT NULL, -- that the shared key was shown which the hub has; it differs from session to session
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_end ON sessions (expires_at);
