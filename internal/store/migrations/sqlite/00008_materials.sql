-- +goose Up
-- Materials with which no release may be made.
CREATE TABLE quarantined_material (
  project  TEXT NOT NULL REFERENCES project (name),
  material TEXT NOT NULL,
  doc      TEXT NOT NULL,
  PRIMARY KEY (project, material)
);

-- +goose Down
DROP TABLE quarantined_material;
