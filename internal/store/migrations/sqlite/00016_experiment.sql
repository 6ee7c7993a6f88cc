-- +goose Up
-- What experiments have seen of both releases.
CREATE TABLE experiment (
  deployment  TEXT PRIMARY KEY REFERENCES deployment (id),
  project     TEXT NOT NULL,
  environment TEXT NOT NULL,
  at          BIGINT NOT NULL,
  doc         TEXT   NOT NULL
);
CREATE INDEX experiment_environment ON experiment (project, environment, deployment);

-- +goose Down
DROP TABLE experiment;
