-- +goose Up
-- Other registries that releases are copied to.
CREATE TABLE replication_rule (
  project TEXT COLLATE "C" NOT NULL REFERENCES project (name),
  name    TEXT COLLATE "C" NOT NULL,
  doc     TEXT   NOT NULL,
  PRIMARY KEY (project, name)
);

CREATE TABLE replication (
  project TEXT COLLATE "C" NOT NULL,
  rule    TEXT COLLATE "C" NOT NULL,
  digest  TEXT COLLATE "C" NOT NULL,
  since   BIGINT NOT NULL,
  doc     TEXT   NOT NULL,
  PRIMARY KEY (project, rule, digest),
  FOREIGN KEY (project, rule) REFERENCES replication_rule (project, name) ON DELETE CASCADE
);
CREATE INDEX replication_digest ON replication (project, digest);

-- +goose Down
DROP TABLE replication;
DROP TABLE replication_rule;
