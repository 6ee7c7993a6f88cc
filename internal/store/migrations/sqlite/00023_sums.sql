-- +goose Up
-- What is listed and served of tags and artifacts is compared with a sum of it:
-- disks flip bits. Empty: written before rows had sums.
ALTER TABLE registry_tag ADD COLUMN sum TEXT NOT NULL DEFAULT '';
ALTER TABLE registry_artifact ADD COLUMN sum TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE registry_artifact DROP COLUMN sum;
ALTER TABLE registry_tag DROP COLUMN sum;
