-- +goose Up
-- The newest events of a project, for lists and watches.
CREATE INDEX event_project ON event (project, seq) WHERE seq IS NOT NULL;

-- +goose Down
DROP INDEX event_project;
