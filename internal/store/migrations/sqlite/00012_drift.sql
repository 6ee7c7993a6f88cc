-- +goose Up
-- What differs from what was deployed, by target; a target without a row has
-- no drift.
CREATE TABLE drift (
  key         TEXT PRIMARY KEY,
  project     TEXT NOT NULL,
  environment TEXT NOT NULL,
  doc         TEXT NOT NULL
);
CREATE INDEX drift_environment ON drift (project, environment);

-- Agents are asked about all that was deployed to their place. The place is the
-- fourth part of a target's key: what follows project/environment/component/,
-- without the slot.
ALTER TABLE target ADD COLUMN place TEXT NOT NULL DEFAULT '';
UPDATE target SET place = substr(key, length(project) + length(environment) + length(component) + 4);
UPDATE target SET place = substr(place, 1, instr(place, '/') - 1);
CREATE INDEX target_place ON target (place);

-- +goose Down
DROP INDEX target_place;
ALTER TABLE target DROP COLUMN place;
DROP TABLE drift;
