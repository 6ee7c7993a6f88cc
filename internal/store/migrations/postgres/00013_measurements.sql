-- +goose Up
-- What metric sources said of revisions that share their traffic.
CREATE TABLE measurement (
  deployment TEXT COLLATE "C" NOT NULL REFERENCES deployment (id),
  component  TEXT COLLATE "C" NOT NULL,
  at         BIGINT NOT NULL,
  doc        TEXT   NOT NULL,
  PRIMARY KEY (deployment, component, at)
);

-- +goose Down
DROP TABLE measurement;
