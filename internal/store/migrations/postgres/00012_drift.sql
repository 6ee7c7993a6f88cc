-- +goose Up
-- What differs from what was deployed, by target; a target without a row has
-- no drift.
CREATE TABLE drift (
  key         TEXT COLLATE "C" PRIMARY KEY,
  project     TEXT COLLATE "C" NOT NULL,
  environment TEXT COLLATE "C" NOT NULL,
  doc         TEXT NOT NULL
);
CREATE INDEX drift_environment ON drift (project, environment);

-- Agents are asked about all that was deployed to their place. The place is the
-- fourth part of a target's key.
ALTER TABLE target ADD COLUMN place TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE target SET place = split_part(key, '/', 4);
CREATE INDEX target_place ON target (place);

-- +goose Down
DROP INDEX target_place;
ALTER TABLE target DROP COLUMN place;
DROP TABLE drift;
