-- +goose Up
-- Materials with which no release of any project may be made.
CREATE TABLE material_quarantined_everywhere (
  material TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  doc      TEXT NOT NULL
);

-- Findings about what runs in an environment of which an event told.
CREATE TABLE flagged_findings (
  project     TEXT COLLATE "C" NOT NULL,
  environment TEXT COLLATE "C" NOT NULL,
  digest      TEXT COLLATE "C" NOT NULL,
  doc         TEXT NOT NULL,
  PRIMARY KEY (project, environment, digest)
);

-- +goose Down
DROP TABLE flagged_findings;
DROP TABLE material_quarantined_everywhere;
