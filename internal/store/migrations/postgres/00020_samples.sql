-- +goose Up
-- What agents pushed of metrics, for the engines of all servers. An engine takes
-- in what it does not have; what is old is given up.
CREATE TABLE sample_batch (
  id   TEXT COLLATE "C" PRIMARY KEY,
  at   BIGINT NOT NULL, -- by the clock of the database, when it was pushed
  size BIGINT NOT NULL, -- of body, bytes
  body BYTEA  NOT NULL
);
ALTER TABLE sample_batch ALTER COLUMN body SET STORAGE EXTERNAL; -- it is compressed
CREATE INDEX sample_batch_at ON sample_batch (at, id);

-- +goose Down
DROP TABLE sample_batch;
