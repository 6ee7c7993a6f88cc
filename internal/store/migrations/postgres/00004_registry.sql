-- +goose Up
-- The registry. Names, tags and digests are ordered by their bytes.
CREATE TABLE registry_repository (
  name    TEXT COLLATE "C" PRIMARY KEY,
  project TEXT   NOT NULL REFERENCES project (name),
  created BIGINT NOT NULL
);
CREATE INDEX registry_repository_project ON registry_repository (project, name);

CREATE TABLE registry_artifact (
  repository    TEXT COLLATE "C" NOT NULL REFERENCES registry_repository (name),
  digest        TEXT COLLATE "C" NOT NULL,
  media_type    TEXT   NOT NULL,
  size          BIGINT NOT NULL,
  artifact_type TEXT   NOT NULL,
  subject       TEXT COLLATE "C" NOT NULL, -- empty: none
  by_client     BIGINT NOT NULL, -- 1 when it was pushed into the registry, 0 when it only came with a release
  pushed        BIGINT NOT NULL,
  doc           TEXT   NOT NULL,
  PRIMARY KEY (repository, digest)
);
CREATE INDEX registry_artifact_subject ON registry_artifact (repository, subject, digest);
CREATE INDEX registry_artifact_digest ON registry_artifact (digest);

CREATE TABLE registry_tag (
  repository TEXT COLLATE "C" NOT NULL,
  tag        TEXT COLLATE "C" NOT NULL,
  folded     TEXT COLLATE "C" NOT NULL, -- in lower case: the order of lists
  digest     TEXT COLLATE "C" NOT NULL,
  moved      BIGINT NOT NULL,
  PRIMARY KEY (repository, tag),
  FOREIGN KEY (repository, digest) REFERENCES registry_artifact (repository, digest)
);
CREATE INDEX registry_tag_order ON registry_tag (repository, folded, tag);
CREATE INDEX registry_tag_digest ON registry_tag (repository, digest);

-- The blobs that a repository has.
CREATE TABLE registry_blob (
  repository TEXT COLLATE "C" NOT NULL REFERENCES registry_repository (name),
  digest     TEXT COLLATE "C" NOT NULL,
  size       BIGINT NOT NULL,
  by_client  BIGINT NOT NULL, -- as of registry_artifact
  linked     BIGINT NOT NULL,
  PRIMARY KEY (repository, digest)
);
CREATE INDEX registry_blob_digest ON registry_blob (digest);

-- What a manifest can't be used without.
CREATE TABLE registry_reference (
  repository TEXT COLLATE "C" NOT NULL,
  artifact   TEXT COLLATE "C" NOT NULL,
  digest     TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (repository, artifact, digest),
  FOREIGN KEY (repository, artifact) REFERENCES registry_artifact (repository, digest) ON DELETE CASCADE
);
CREATE INDEX registry_reference_digest ON registry_reference (digest, repository);

-- Blobs that are being uploaded; doc lists the pieces that came.
CREATE TABLE registry_upload (
  id         TEXT   PRIMARY KEY,
  repository TEXT   NOT NULL,
  project    TEXT   NOT NULL REFERENCES project (name),
  size       BIGINT NOT NULL, -- bytes of the pieces
  expires    BIGINT NOT NULL,
  doc        TEXT   NOT NULL
);
CREATE INDEX registry_upload_expires ON registry_upload (expires);
CREATE INDEX registry_upload_project ON registry_upload (project);

-- Tags of a project's repositories that never move: regular expressions.
CREATE TABLE registry_rule (
  project TEXT PRIMARY KEY REFERENCES project (name),
  doc     TEXT NOT NULL
);

-- +goose Down
DROP TABLE registry_rule;
DROP TABLE registry_upload;
DROP TABLE registry_reference;
DROP TABLE registry_blob;
DROP TABLE registry_tag;
DROP TABLE registry_artifact;
DROP TABLE registry_repository;
