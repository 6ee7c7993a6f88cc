-- +goose Up
-- What the collection of garbage asks: who needs these bytes?
ALTER TABLE candidate ADD COLUMN provenance TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE candidate SET provenance = doc::jsonb ->> 'provenance';
CREATE INDEX candidate_provenance ON candidate (provenance);
CREATE INDEX release_digest ON release (digest COLLATE "C");
CREATE INDEX release_content ON release (content COLLATE "C");
CREATE INDEX registry_blob_age ON registry_blob (repository, linked);

-- +goose Down
DROP INDEX registry_blob_age;
DROP INDEX release_content;
DROP INDEX release_digest;
DROP INDEX candidate_provenance;
ALTER TABLE candidate DROP COLUMN provenance;
