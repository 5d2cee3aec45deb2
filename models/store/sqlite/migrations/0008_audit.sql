-- Who did what, when.
CREATE TABLE audit (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  at        INTEGER NOT NULL,
  principal TEXT    NOT NULL,
  person    TEXT    NOT NULL, -- who was signed in; empty for others
  address   TEXT    NOT NULL,
  action    TEXT    NOT NULL,
  subject   TEXT    NOT NULL, -- to what it was done
  count     INTEGER NOT NULL  -- how often, where only sums are kept
);
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_addresses ON audit (principal, address) WHERE action = 'new_address';
