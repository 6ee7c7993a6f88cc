-- +goose Up
-- The nouns. A column stands for what is searched, ordered or constrained;
-- `doc` holds the whole noun as JSON. Both dialects share this text.
CREATE TABLE project (
  name       TEXT   PRIMARY KEY,
  repository TEXT   NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE account (
  name       TEXT   PRIMARY KEY,
  created_at BIGINT NOT NULL,
  disabled   BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE account_email (
  email   TEXT PRIMARY KEY,
  account TEXT NOT NULL REFERENCES account (name)
);

CREATE TABLE account_grant (
  account     TEXT NOT NULL REFERENCES account (name),
  role        TEXT NOT NULL,
  project     TEXT NOT NULL,
  environment TEXT NOT NULL,
  place       TEXT NOT NULL,
  PRIMARY KEY (account, role, project, environment, place)
);

CREATE TABLE token (
  id         TEXT   PRIMARY KEY,
  account    TEXT   NOT NULL REFERENCES account (name),
  name       TEXT   NOT NULL,
  hash       TEXT   NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL DEFAULT 0,
  revoked    BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE release (
  project    TEXT   NOT NULL REFERENCES project (name),
  digest     TEXT   NOT NULL,
  content    TEXT   NOT NULL, -- digest of the content blob
  size       BIGINT NOT NULL,
  published  BIGINT NOT NULL,
  collected  BIGINT NOT NULL DEFAULT 0, -- when its layers were given up
  PRIMARY KEY (project, digest)
);

CREATE TABLE version_label (
  project   TEXT   NOT NULL,
  version   TEXT   NOT NULL,
  digest    TEXT   NOT NULL,
  published BIGINT NOT NULL,
  PRIMARY KEY (project, version),
  FOREIGN KEY (project, digest) REFERENCES release (project, digest)
);
CREATE INDEX version_label_digest ON version_label (project, digest);

CREATE TABLE candidate (
  id        TEXT   PRIMARY KEY,
  project   TEXT   NOT NULL,
  digest    TEXT   NOT NULL,
  commit_id TEXT   NOT NULL,
  published BIGINT NOT NULL,
  doc       TEXT   NOT NULL,
  FOREIGN KEY (project, digest) REFERENCES release (project, digest)
);
CREATE INDEX candidate_newest ON candidate (project, published, id);
CREATE INDEX candidate_digest ON candidate (project, digest);
CREATE INDEX candidate_commit ON candidate (project, commit_id);

CREATE TABLE quarantine (
  project TEXT NOT NULL,
  digest  TEXT NOT NULL,
  doc     TEXT NOT NULL,
  PRIMARY KEY (project, digest)
);

CREATE TABLE environment (
  project  TEXT   NOT NULL REFERENCES project (name),
  name     TEXT   NOT NULL,
  position BIGINT NOT NULL,
  digest   TEXT   NOT NULL, -- of the release that it runs
  rev      BIGINT NOT NULL,
  doc      TEXT   NOT NULL,
  PRIMARY KEY (project, name)
);
CREATE INDEX environment_digest ON environment (project, digest);

CREATE TABLE run (
  project     TEXT   NOT NULL,
  environment TEXT   NOT NULL,
  deployment  TEXT   NOT NULL,
  candidate   TEXT   NOT NULL,
  digest      TEXT   NOT NULL,
  began       BIGINT NOT NULL,
  doc         TEXT   NOT NULL,
  PRIMARY KEY (project, environment, deployment)
);
CREATE INDEX run_newest ON run (project, environment, began);
CREATE INDEX run_candidate ON run (project, environment, candidate);

CREATE TABLE promotion (
  id          TEXT   PRIMARY KEY,
  project     TEXT   NOT NULL,
  environment TEXT   NOT NULL,
  candidate   TEXT   NOT NULL,
  open        BIGINT NOT NULL, -- 1 until it has ended
  requested   BIGINT NOT NULL,
  rev         BIGINT NOT NULL,
  doc         TEXT   NOT NULL
);
CREATE INDEX promotion_newest ON promotion (project, requested, id);
CREATE INDEX promotion_open ON promotion (project, environment, open);
CREATE INDEX promotion_candidate ON promotion (project, environment, candidate);

CREATE TABLE approval (
  id        TEXT   PRIMARY KEY,
  promotion TEXT   NOT NULL REFERENCES promotion (id),
  given     BIGINT NOT NULL,
  doc       TEXT   NOT NULL
);
CREATE INDEX approval_promotion ON approval (promotion, given);

CREATE TABLE promotion_freeze (
  id      TEXT   PRIMARY KEY,
  project TEXT   NOT NULL, -- empty: all
  lifted  BIGINT NOT NULL DEFAULT 0,
  doc     TEXT   NOT NULL
);

CREATE TABLE external_check (
  project     TEXT NOT NULL,
  candidate   TEXT NOT NULL,
  environment TEXT NOT NULL,
  key         TEXT NOT NULL,
  doc         TEXT NOT NULL,
  PRIMARY KEY (project, candidate, environment, key)
);

CREATE TABLE deployment (
  id          TEXT   PRIMARY KEY,
  project     TEXT   NOT NULL,
  environment TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  active      BIGINT NOT NULL,
  rev         BIGINT NOT NULL,
  doc         TEXT   NOT NULL
);
CREATE INDEX deployment_newest ON deployment (project, environment, created);
-- At most one deployment is active in an environment, whatever the code does.
CREATE UNIQUE INDEX deployment_active ON deployment (project, environment) WHERE active = 1;

CREATE TABLE operation (
  id          TEXT   PRIMARY KEY,
  deployment  TEXT   NOT NULL, -- empty for plans
  promotion   TEXT   NOT NULL, -- of plans
  target      TEXT   NOT NULL,
  place       TEXT   NOT NULL,
  phase       TEXT   NOT NULL,
  fence       BIGINT NOT NULL,
  lease       TEXT   NOT NULL,
  lease_until BIGINT NOT NULL,
  run_after   BIGINT NOT NULL,
  created     BIGINT NOT NULL,
  doc         TEXT   NOT NULL
);
CREATE INDEX operation_deployment ON operation (deployment, created);
CREATE INDEX operation_promotion ON operation (promotion, created);
CREATE INDEX operation_claimable ON operation (place, phase, run_after);

CREATE TABLE operation_report (
  operation TEXT   NOT NULL REFERENCES operation (id),
  fence     BIGINT NOT NULL,
  seq       BIGINT NOT NULL,
  stale     BIGINT NOT NULL,
  at        BIGINT NOT NULL,
  message   TEXT   NOT NULL,
  PRIMARY KEY (operation, fence, seq)
);

-- What each target was last switched to, and the highest fence given out.
CREATE TABLE target (
  key         TEXT   PRIMARY KEY,
  project     TEXT   NOT NULL,
  environment TEXT   NOT NULL,
  component   TEXT   NOT NULL,
  fence       BIGINT NOT NULL,
  doc         TEXT   NOT NULL
);
CREATE INDEX target_environment ON target (project, environment);

CREATE TABLE observation (
  key         TEXT   PRIMARY KEY,
  project     TEXT   NOT NULL,
  environment TEXT   NOT NULL,
  at          BIGINT NOT NULL,
  doc         TEXT   NOT NULL
);
CREATE INDEX observation_environment ON observation (project, environment);

CREATE TABLE agent_session (
  place   TEXT   PRIMARY KEY,
  agent   TEXT   NOT NULL,
  session TEXT   NOT NULL UNIQUE,
  seen_at BIGINT NOT NULL
);

-- The journal of ref moves: written before git is asked to move anything.
CREATE TABLE ref_move (
  deployment  TEXT   PRIMARY KEY,
  project     TEXT   NOT NULL,
  environment TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  state       TEXT   NOT NULL, -- pending, done, superseded
  doc         TEXT   NOT NULL
);
CREATE INDEX ref_move_environment ON ref_move (project, environment, created);

CREATE TABLE recorded_merge (
  project   TEXT   NOT NULL,
  commit_id TEXT   NOT NULL,
  at        BIGINT NOT NULL,
  PRIMARY KEY (project, commit_id)
);

CREATE TABLE idempotency (
  account TEXT   NOT NULL,
  key     TEXT   NOT NULL,
  hash    TEXT   NOT NULL, -- of the request
  status  BIGINT NOT NULL, -- 0 while the request is in flight
  body    TEXT   NOT NULL,
  at      BIGINT NOT NULL,
  PRIMARY KEY (account, key)
);
CREATE INDEX idempotency_age ON idempotency (at);

-- +goose Down
DROP TABLE idempotency;
DROP TABLE recorded_merge;
DROP TABLE ref_move;
DROP TABLE agent_session;
DROP TABLE observation;
DROP TABLE target;
DROP TABLE operation_report;
DROP TABLE operation;
DROP TABLE deployment;
DROP TABLE external_check;
DROP TABLE promotion_freeze;
DROP TABLE approval;
DROP TABLE promotion;
DROP TABLE run;
DROP TABLE environment;
DROP TABLE quarantine;
DROP TABLE candidate;
DROP TABLE version_label;
DROP TABLE release;
DROP TABLE token;
DROP TABLE account_grant;
DROP TABLE account_email;
DROP TABLE account;
DROP TABLE project;
