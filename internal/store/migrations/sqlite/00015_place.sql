-- +goose Up
-- Layers that were compared where the releases of a project live.
CREATE TABLE placed_layer (
  project TEXT NOT NULL,
  rule    TEXT NOT NULL,
  digest  TEXT NOT NULL,
  size    BIGINT NOT NULL,
  PRIMARY KEY (project, rule, digest),
  FOREIGN KEY (project, rule) REFERENCES replication_rule (project, name) ON DELETE CASCADE
);
CREATE INDEX placed_layer_digest ON placed_layer (digest);

-- +goose Down
DROP TABLE placed_layer;
