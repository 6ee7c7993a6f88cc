-- +goose Up
-- What all servers of this database have in common beside it: a single row.
CREATE TABLE installation (
  one        BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  ledger_key TEXT   NOT NULL, -- verifier key
  blobs      TEXT   NOT NULL  -- ID of the place of the blobs
);

-- +goose Down
DROP TABLE installation;
