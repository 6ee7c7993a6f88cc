-- +goose Up
-- Other registries that releases are copied to.
CREATE TABLE replication_rule (
  project TEXT NOT NULL REFERENCES project (name),
  name    TEXT NOT NULL,
  doc     TEXT   NOT NULL,
  PRIMARY KEY (project, name)
);

CREATE TABLE replication (
  project TEXT NOT NULL,
  rule    TEXT NOT NULL,
  digest  TEXT NOT NULL,
  since   BIGINT NOT NULL,
  doc     TEXT   NOT NULL,
  PRIMARY KEY (project, rule, digest),
  FOREIGN KEY (project, rule) REFERENCES replication_rule (project, name) ON DELETE CASCADE
);
CREATE INDEX replication_digest ON replication (project, digest);

-- +goose Down
DROP TABLE replication;
DROP TABLE replication_rule;
