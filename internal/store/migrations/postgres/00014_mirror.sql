-- +goose Up
-- From where the images of a project's releases are mirrored.
CREATE TABLE mirror_rule (
  project TEXT COLLATE "C" PRIMARY KEY REFERENCES project (name),
  doc     TEXT   NOT NULL
);

-- What is mirrored, or will be.
CREATE TABLE mirror (
  repository TEXT COLLATE "C" NOT NULL, -- of ours
  digest     TEXT COLLATE "C" NOT NULL,
  project    TEXT COLLATE "C" NOT NULL REFERENCES project (name),
  since      BIGINT NOT NULL,
  done       BIGINT NOT NULL, -- 0: it is not there whole
  doc        TEXT   NOT NULL,
  PRIMARY KEY (repository, digest)
);
CREATE INDEX mirror_project ON mirror (project, since);

-- What the provenance of a candidate says that it takes from other registries.
CREATE TABLE candidate_image (
  candidate TEXT COLLATE "C" PRIMARY KEY REFERENCES candidate (id),
  project   TEXT COLLATE "C" NOT NULL,
  release   TEXT COLLATE "C" NOT NULL,
  doc       TEXT   NOT NULL
);
CREATE INDEX candidate_image_release ON candidate_image (project, release);

-- Which releases need what is mirrored.
CREATE TABLE mirror_pin (
  project    TEXT COLLATE "C" NOT NULL,
  release    TEXT COLLATE "C" NOT NULL,
  repository TEXT COLLATE "C" NOT NULL,
  digest     TEXT COLLATE "C" NOT NULL,
  source     TEXT   NOT NULL, -- repository outside
  PRIMARY KEY (project, release, repository, digest),
  FOREIGN KEY (project, release) REFERENCES release (project, digest)
);
CREATE INDEX mirror_pin_digest ON mirror_pin (repository, digest);

-- +goose Down
DROP TABLE mirror_pin;
DROP TABLE candidate_image;
DROP TABLE mirror;
DROP TABLE mirror_rule;
