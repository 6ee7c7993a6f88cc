-- +goose Up
-- What is given up by its age is found by it.
CREATE INDEX traffic_count_at ON traffic_count (at);
CREATE INDEX measurement_at ON measurement (at);
-- Whether something runs on a target is asked of each operation that may be claimed.
CREATE INDEX operation_running ON operation (target) WHERE phase = 'running';
-- Nobody read it: the last that is said of an operation stands in its record.
DROP TABLE operation_report;

-- +goose Down
CREATE TABLE operation_report (
  operation TEXT   NOT NULL REFERENCES operation (id),
  fence     BIGINT NOT NULL,
  seq       BIGINT NOT NULL,
  stale     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  message   TEXT   NOT NULL,
  PRIMARY KEY (operation, fence, seq)
);
DROP INDEX operation_running;
DROP INDEX measurement_at;
DROP INDEX traffic_count_at;
