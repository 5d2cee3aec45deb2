-- What OAuth clients were granted. Of every secret the SHA-256 alone, in hexadecimal.
CREATE TABLE oauth_clients (
  id          TEXT COLLATE "C" PRIMARY KEY,
  name        TEXT COLLATE "C" NOT NULL,
  redirects   TEXT COLLATE "C" NOT NULL, -- a JSON array
  secret_hash TEXT COLLATE "C" NOT NULL, -- empty: it has no secret
  lasting     BOOLEAN NOT NULL, -- it means to come back with refresh tokens
  created_at  BIGINT NOT NULL,
  used_at     BIGINT NOT NULL  -- 0: never, and the registration may be forgotten
);
CREATE INDEX oauth_clients_unused ON oauth_clients (created_at) WHERE used_at = 0;

CREATE TABLE oauth_grants (
  id          TEXT COLLATE "C" PRIMARY KEY,
  principal   TEXT COLLATE "C" NOT NULL,
  key_hash    TEXT COLLATE "C" NOT NULL, -- of the key or invite code that allowed it
  client      TEXT COLLATE "C" NOT NULL,
  client_name TEXT COLLATE "C" NOT NULL,
  scope       TEXT COLLATE "C" NOT NULL,
  resource    TEXT COLLATE "C" NOT NULL,
  redirect    TEXT COLLATE "C" NOT NULL,
  challenge   TEXT COLLATE "C" NOT NULL,
  created_at  BIGINT NOT NULL,
  used_at     BIGINT NOT NULL
);

CREATE TABLE oauth_tokens (
  hash       TEXT COLLATE "C" PRIMARY KEY,
  grant_id   TEXT COLLATE "C" NOT NULL,
  kind       TEXT COLLATE "C" NOT NULL, -- code, access or refresh
  expires_at BIGINT NOT NULL,
  spent_at   BIGINT NOT NULL  -- 0: not yet
);
CREATE INDEX oauth_tokens_by_grant ON oauth_tokens (grant_id);
CREATE INDEX oauth_tokens_by_time ON oauth_tokens (expires_at);

CREATE TABLE oauth_invites (
  name       TEXT COLLATE "C" PRIMARY KEY,
  hash       TEXT COLLATE "C" NOT NULL UNIQUE,
  scope      TEXT COLLATE "C" NOT NULL, -- read or write
  channels   TEXT COLLATE "C" NOT NULL, -- names and patterns, separated by commas; empty: all
  uses       BIGINT NOT NULL, -- that are left
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL  -- 0: never
);
