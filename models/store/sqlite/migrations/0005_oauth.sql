-- What OAuth clients were granted. Of every secret the SHA-256 alone, in hexadecimal.
CREATE TABLE oauth_clients (
  id          TEXT    PRIMARY KEY,
  name        TEXT    NOT NULL,
  redirects   TEXT    NOT NULL, -- a JSON array
  secret_hash TEXT    NOT NULL, -- empty: it has no secret
  lasting     BOOLEAN NOT NULL, -- it means to come back with refresh tokens
  created_at  BIGINT  NOT NULL,
  used_at     BIGINT  NOT NULL  -- 0: never, and the registration may be forgotten
);
CREATE INDEX oauth_clients_unused ON oauth_clients (created_at) WHERE used_at = 0;

CREATE TABLE oauth_grants (
  id          TEXT   PRIMARY KEY,
  principal   TEXT   NOT NULL,
  key_hash    TEXT   NOT NULL, -- of the key or invite code that allowed it
  client      TEXT   NOT NULL,
  client_name TEXT   NOT NULL,
  scope       TEXT   NOT NULL,
  resource    TEXT   NOT NULL,
  redirect    TEXT   NOT NULL,
  challenge   TEXT   NOT NULL,
  created_at  BIGINT NOT NULL,
  used_at     BIGINT NOT NULL
);

CREATE TABLE oauth_tokens (
  hash       TEXT   PRIMARY KEY,
  grant_id   TEXT   NOT NULL,
  kind       TEXT   NOT NULL, -- code, access or refresh
  expires_at BIGINT NOT NULL,
  spent_at   BIGINT NOT NULL  -- 0: not yet
);
CREATE INDEX oauth_tokens_by_grant ON oauth_tokens (grant_id);
CREATE INDEX oauth_tokens_by_time ON oauth_tokens (expires_at);

CREATE TABLE oauth_invites (
  name       TEXT    PRIMARY KEY,
  hash       TEXT    NOT NULL UNIQUE,
  scope      TEXT    NOT NULL, -- read or write
  channels   TEXT    NOT NULL, -- names and patterns, separated by commas; empty: all
  uses       INTEGER NOT NULL, -- that are left
  created_at BIGINT  NOT NULL,
  expires_at BIGINT  NOT NULL  -- 0: never
);
