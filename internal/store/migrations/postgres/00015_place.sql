-- +goose Up
-- Layers that were compared where the releases of a project live.
CREATE TABLE placed_layer (
  project TEXT COLLATE "C" NOT NULL,
  rule    TEXT COLLATE "C" NOT NULL,
  digest  TEXT COLLATE "C" NOT NULL,
  size    BIGINT NOT NULL,
  PRIMARY KEY (project, rule, digest),
  FOREIGN KEY (project, rule) REFERENCES replication_rule (project, name) ON DELETE CASCADE
);
CREATE INDEX placed_layer_digest ON placed_layer (digest);

-- +goose Down
DROP TABLE placed_layer;
