package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/towpath/towpath/internal/towpath"
)

// Tx is an open transaction. It is not safe for concurrent use: close rows
// before the next statement.
type Tx struct {
	db    *DB
	on    runner
	after []func()
}

// runner runs the statements of a transaction.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Dialect is the engine.
func (tx *Tx) Dialect() Dialect { return tx.db.dialect }

// Exec runs a statement in the transaction.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	res, err := tx.on.ExecContext(ctx, tx.db.dialect.rewrite(query), args...)
	return res, mapError("sqldb.exec", err)
}

// Query reads in the transaction.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := tx.on.QueryContext(ctx, tx.db.dialect.rewrite(query), args...)
	return rows, mapError("sqldb.query", err)
}

// QueryRow reads one row in the transaction.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return tx.on.QueryRowContext(ctx, tx.db.dialect.rewrite(query), args...)
}

// AfterCommit calls f once the transaction has committed, in order of
// registration; never when it is rolled back. f must be quick and must not
// fail: it wakes loops.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

type txKey struct{}

func inTx(ctx context.Context, db *DB) bool {
	open, _ := ctx.Value(txKey{}).(*DB)
	return open == db
}

// InTx runs f in a transaction that can write and commits it when f returns
// nil. After a serialization failure, a deadlock or a busy database it runs f
// again, from the start and a bounded number of times: f must have no effect
// but on tx, and IDs and times are minted before. No I/O belongs inside, nor
// waiting for anybody who may be in a transaction.
//
// On PostgreSQL it is READ COMMITTED: a decision on rows needs them locked
// ([ForUpdate]). On SQLite write transactions run one after the other, and
// those that wait for each other are made durable by one commit; f is not
// interrupted when ctx is done, but runs no other statement.
//
// An error after which the outcome of the commit isn't known is unavailable
// and says so; f must then be safe to run again under the same IDs.
func (db *DB) InTx(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	if inTx(ctx, db) {
		return errNested("sqldb.tx")
	}
	for attempt := 1; ; attempt++ {
		err := db.attempt(ctx, f)
		if err == nil || ctx.Err() != nil || !retryable(err) || attempt > db.cfg.Retries {
			return finish(ctx, "sqldb.tx", err)
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// View runs f on one consistent snapshot of the database, which f can't change.
func (db *DB) View(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	var opts *sql.TxOptions
	if db.dialect == Postgres {
		opts = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	for attempt := 1; ; attempt++ {
		err := db.once(ctx, db.read, opts, f)
		if err == nil || ctx.Err() != nil || !retryable(err) || attempt > db.cfg.Retries {
			return finish(ctx, "sqldb.view", err)
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// attempt runs f once, in a transaction that can write.
func (db *DB) attempt(ctx context.Context, f func(context.Context, *Tx) error) error {
	if db.group == nil {
		return db.once(ctx, db.write, nil, f)
	}
	tx := &Tx{db: db}
	err := db.group.do(ctx, func(conn *sql.Conn) error {
		tx.on = uninterrupted{conn}
		return f(context.WithValue(ctx, txKey{}, db), tx)
	})
	if err == nil {
		tx.committed()
	}
	return err
}

// once runs f in a transaction of its own.
func (db *DB) once(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, f func(context.Context, *Tx) error) error {
	inner, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	tx := &Tx{db: db, on: inner}
	defer func() { _ = inner.Rollback() }() // no effect after Commit; releases the connection on panic
	if err := f(context.WithValue(ctx, txKey{}, db), tx); err != nil {
		return err
	}
	if err := inner.Commit(); err != nil {
		return commitError(err)
	}
	tx.committed()
	return nil
}

// committed calls the hooks.
func (tx *Tx) committed() {
	for _, f := range tx.after {
		f()
	}
}

// commitError tells a commit that the engine refused from one whose answer was
// lost.
func commitError(err error) error {
	_, refusedPG := errors.AsType[*pgconn.PgError](err)
	_, refusedLite := errors.AsType[*sqlite.Error](err)
	if refusedPG || refusedLite || errors.Is(err, sql.ErrTxDone) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return towpath.E(towpath.KindUnavailable, "sqldb.commit", "the connection to the database was lost while committing").
		WithHint("whether it took effect is not known: look, then repeat it with the same idempotency key").WithCause(err)
}

// finish maps err; once ctx is done the reason is ctx, whatever the driver
// made of it, so that a shutdown is never taken for a failure.
func finish(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && towpath.KindOf(err) == towpath.KindInternal {
		return context.Cause(ctx)
	}
	return mapError(op, err)
}

// pause waits before another attempt: up to 5 ms · 2^attempt, at most 320 ms.
func pause(ctx context.Context, attempt int) error {
	limit := 5 * time.Millisecond << min(attempt, 6)
	timer := time.NewTimer(limit/4 + rand.N(limit*3/4))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
