-- +goose Up
-- Whose claim of an idempotency key it is, and whether a change was made under
-- it: written in the transaction of that change.
ALTER TABLE idempotency ADD COLUMN owner   TEXT   NOT NULL DEFAULT ''; -- the process
ALTER TABLE idempotency ADD COLUMN made    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE idempotency ADD COLUMN subject TEXT   NOT NULL DEFAULT ''; -- ID of what was changed

-- +goose Down
ALTER TABLE idempotency DROP COLUMN subject;
ALTER TABLE idempotency DROP COLUMN made;
ALTER TABLE idempotency DROP COLUMN owner;
