-- +goose Up
-- Whose statements are believed. Records stay, also of keys that were revoked.
CREATE TABLE trusted_key (
  name TEXT COLLATE "C" PRIMARY KEY,
  rev  BIGINT NOT NULL,
  doc  TEXT   NOT NULL
);

-- +goose Down
DROP TABLE trusted_key;
