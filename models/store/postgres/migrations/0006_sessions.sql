-- People signed in at the dashboard. Of the token that their browser holds only its SHA-256 is kept.
CREATE TABLE sessions (
  hash       TEXT COLLATE "C" PRIMARY KEY,
  person     TEXT COLLATE "C" NOT NULL,
  key_hash   TEXT COLLATE "C" NOT NULL, -- of the named key that was shown; empty for the shared one, or none
  proof      TEXT COLLATE "C" NOT NULL, -- that the shared key was shown which the hub has; it differs from session to session
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_end ON sessions (expires_at);
