-- +goose Up
-- What experiments have seen of both releases.
CREATE TABLE experiment (
  deployment  TEXT COLLATE "C" PRIMARY KEY REFERENCES deployment (id),
  project     TEXT COLLATE "C" NOT NULL,
  environment TEXT COLLATE "C" NOT NULL,
  at          BIGINT NOT NULL,
  doc         TEXT   NOT NULL
);
CREATE INDEX experiment_environment ON experiment (project, environment, deployment);

-- +goose Down
DROP TABLE experiment;
