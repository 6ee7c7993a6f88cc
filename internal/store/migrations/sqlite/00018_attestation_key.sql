-- +goose Up
-- The ID of the key that signs how promotions ended; '': none has signed yet.
ALTER TABLE installation ADD COLUMN attestation_key TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE installation DROP COLUMN attestation_key;
