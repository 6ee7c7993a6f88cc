-- +goose Up
-- Materials with which no release of any project may be made.
CREATE TABLE material_quarantined_everywhere (
  material TEXT NOT NULL PRIMARY KEY,
  doc      TEXT NOT NULL
);

-- +goose Down
DROP TABLE material_quarantined_everywhere;
