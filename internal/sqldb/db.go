package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Querier runs SQL: a [DB] outside of a transaction, a [Tx] inside.
type Querier interface {
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
	Dialect() Dialect
}

// Config says how to open a database. Only URL is required.
type Config struct {
	// URL is sqlite:///path, a plain path, or postgres://…
	URL string
	// MaxConns bounds the connections to PostgreSQL and the readers of SQLite.
	// Default: 32, or twice the processors and at least 4.
	MaxConns int
	// BusyTimeout is how long SQLite waits for another process that writes.
	// Default: 10 s.
	BusyTimeout time.Duration
	// Retries bounds how often [DB.InTx] starts a transaction again after a
	// serialization failure, a deadlock or a busy database. Default: 10.
	Retries int
}

func (c Config) withDefaults(d Dialect) Config {
	if c.MaxConns <= 0 {
		c.MaxConns = 32
		if d == SQLite {
			c.MaxConns = max(4, 2*runtime.NumCPU())
		}
	}
	if c.BusyTimeout <= 0 {
		c.BusyTimeout = 10 * time.Second
	}
	if c.Retries <= 0 {
		c.Retries = 10
	}
	return c
}

// DB is an open database. On SQLite all writes go through one connection, where
// transactions that wait for each other share a commit, and reads through a
// pool that can't write; on PostgreSQL both are one pool.
type DB struct {
	dialect     Dialect
	cfg         Config
	file        string // of SQLite
	read, write *sql.DB
	group       *group // commits what is written to SQLite
}

// Open opens the database at url with default settings. It is there and
// answers when Open returns; an SQLite file is created when absent.
func Open(ctx context.Context, url string) (*DB, error) {
	return OpenConfig(ctx, Config{URL: url})
}

// OpenConfig is [Open] with settings.
func OpenConfig(ctx context.Context, cfg Config) (*DB, error) {
	dialect, path, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults(dialect)
	db := &DB{dialect: dialect, cfg: cfg}
	if dialect == Postgres {
		err = db.openPostgres(cfg)
	} else {
		err = db.openSQLite(path, cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(db.write.PingContext(ctx), db.read.PingContext(ctx)); err != nil {
		_ = db.Close()
		return nil, mapError("sqldb.open", err)
	}
	return db, nil
}

// Close closes every connection.
func (db *DB) Close() error {
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(db.read.Close(), err)
	}
	return err
}

// File is the path of an SQLite database; empty for PostgreSQL.
func (db *DB) File() string { return db.file }

// Dialect is the engine.
func (db *DB) Dialect() Dialect { return db.dialect }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return mapError("sqldb.ping", db.read.PingContext(ctx))
}

// Exec runs one statement in a transaction of its own. It refuses to run
// within [DB.InTx]: there, SQLite's one writer would wait for itself.
func (db *DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if inTx(ctx, db) {
		return nil, errNested("sqldb.exec")
	}
	res, err := db.write.ExecContext(ctx, db.dialect.rewrite(query), args...)
	return res, mapError("sqldb.exec", err)
}

// Query reads. A statement that writes and returns rows needs [DB.InTx].
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := db.read.QueryContext(ctx, db.dialect.rewrite(query), args...)
	return rows, mapError("sqldb.query", err)
}

// QueryRow reads one row. The error of its Scan can be given to [MapError].
func (db *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return db.read.QueryRowContext(ctx, db.dialect.rewrite(query), args...)
}

func errNested(op string) error {
	return towpath.E(towpath.KindInternal, op, "the database was used beside the transaction that is open").
		WithHint("pass the transaction on instead of the database")
}
