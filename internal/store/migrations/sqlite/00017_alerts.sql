-- +goose Up
-- Alerts that an environment was told of, so that each of them acts once.
CREATE TABLE alert (
  project     TEXT NOT NULL,
  environment TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  starts      INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  doc         TEXT NOT NULL,
  PRIMARY KEY (project, environment, fingerprint, starts)
);
CREATE INDEX alert_at ON alert (at);

-- +goose Down
DROP TABLE alert;
