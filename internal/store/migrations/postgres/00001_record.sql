-- +goose Up

-- Events are inserted by business transactions without seq; the sequencer
-- gives them one. Only leaf is the record: the other columns are projections
-- of it for queries, and verification compares them.
CREATE TABLE event (
	ordinal     BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id          TEXT    NOT NULL UNIQUE,
	seq         BIGINT,
	leaf        BYTEA   NOT NULL,
	leaf_hash   BYTEA   NOT NULL,
	at          BIGINT  NOT NULL,
	actor       TEXT    NOT NULL,
	action      TEXT    NOT NULL,
	project     TEXT    NOT NULL,
	environment TEXT    NOT NULL,
	subject     TEXT    NOT NULL,
	"release"   TEXT    NOT NULL,
	request_id  TEXT    NOT NULL
);
CREATE UNIQUE INDEX event_seq ON event (seq) WHERE seq IS NOT NULL;
CREATE INDEX event_unsequenced ON event (ordinal) WHERE seq IS NULL;
CREATE INDEX event_environment ON event (project, environment, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_subject ON event (subject, seq) WHERE seq IS NOT NULL;

-- The tree's stored hashes in the order of their index, 32 of 32 bytes a row.
CREATE TABLE tree_chunk (
	no     BIGINT NOT NULL PRIMARY KEY,
	hashes BYTEA  NOT NULL
);

-- One row: the tree that the sequencer has built.
CREATE TABLE ledger_head (
	id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
	size  BIGINT NOT NULL,
	root  BYTEA  NOT NULL,
	fence BIGINT NOT NULL
);

-- One row per epoch; a restore of the database starts the next one.
CREATE TABLE ledger_meta (
	epoch  BIGINT NOT NULL PRIMARY KEY,
	since  BIGINT NOT NULL,
	size   BIGINT NOT NULL,
	reason TEXT   NOT NULL
);
INSERT INTO ledger_meta (epoch, since, size, reason) VALUES (1, 0, 0, 'created');

-- The newest signed checkpoint of each epoch.
CREATE TABLE checkpoint (
	epoch BIGINT NOT NULL PRIMARY KEY,
	size  BIGINT NOT NULL,
	note  TEXT   NOT NULL
);

CREATE TABLE work (
	kind        TEXT   NOT NULL,
	key         TEXT   NOT NULL,
	run_after   BIGINT NOT NULL,
	lease_until BIGINT NOT NULL DEFAULT 0,
	lease_owner TEXT   NOT NULL DEFAULT '',
	fence       BIGINT NOT NULL DEFAULT 0,
	gen         BIGINT NOT NULL DEFAULT 1,
	attempts    BIGINT NOT NULL DEFAULT 0,
	last_error  TEXT   NOT NULL DEFAULT '',
	PRIMARY KEY (kind, key)
);
CREATE INDEX work_due ON work (kind, run_after);

-- Never falls, also when entries of work are removed and made anew.
CREATE SEQUENCE work_fence;

CREATE TABLE lease (
	name  TEXT   NOT NULL PRIMARY KEY,
	owner TEXT   NOT NULL,
	fence BIGINT NOT NULL,
	until BIGINT NOT NULL
);

-- +goose Down
DROP TABLE lease;
DROP SEQUENCE work_fence;
DROP TABLE work;
DROP TABLE checkpoint;
DROP TABLE ledger_meta;
DROP TABLE ledger_head;
DROP TABLE tree_chunk;
DROP TABLE event;
