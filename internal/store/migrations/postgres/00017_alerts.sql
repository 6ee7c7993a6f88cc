-- +goose Up
-- Alerts that an environment was told of, so that each of them acts once.
CREATE TABLE alert (
  project     TEXT COLLATE "C" NOT NULL,
  environment TEXT COLLATE "C" NOT NULL,
  fingerprint TEXT COLLATE "C" NOT NULL,
  starts      BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  doc         TEXT NOT NULL,
  PRIMARY KEY (project, environment, fingerprint, starts)
);
CREATE INDEX alert_at ON alert (at);

-- +goose Down
DROP TABLE alert;
