-- +goose Up
-- What was counted of revisions that share their traffic.
CREATE TABLE traffic_count (
  deployment TEXT NOT NULL REFERENCES deployment (id),
  component  TEXT NOT NULL,
  at         BIGINT NOT NULL,
  doc        TEXT   NOT NULL,
  PRIMARY KEY (deployment, component, at)
);

-- +goose Down
DROP TABLE traffic_count;
