// Package store is the SQL of the use cases, one file a noun. It implements
// the interfaces that they declare, on SQLite and PostgreSQL with one text. It
// must not know a rule: it neither authorises nor decides. Start reading at
// Store; a noun is a row whose doc column holds it as JSON, beside the columns
// that it is searched by.
package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// Recorder appends an event to the ledger inside a transaction.
type Recorder interface {
	Append(ctx context.Context, tx *sqldb.Tx, ev towpath.Event) error
}

// Store opens transactions over the nouns.
type Store struct {
	db       *sqldb.DB
	recorder Recorder
	wake     func(kind string)
}

// New makes a store over a migrated database. Wake is called after a commit
// that enqueued work of a kind, so that its loop looks at once; it must not
// block.
func New(db *sqldb.DB, recorder Recorder, wake func(kind string)) *Store {
	return &Store{db: db, recorder: recorder, wake: wake}
}

// Tx is one transaction over the nouns. Changes and the events that record
// them commit together or not at all.
type Tx struct {
	*sqldb.Tx
	store    *Store
	recorded bool   // an event: the transaction changes something
	subject  string // of the first event that a request caused
}

// Update runs f in a transaction, again from its start when the database asks
// for it: f must not keep anything between runs. Under a claim of work it
// commits only while the claim is the newest of its key, and under a claim of
// an idempotency key what it changed is noted there.
func (s *Store) Update(ctx context.Context, f func(context.Context, *Tx) error) error {
	err := s.db.InTx(ctx, func(ctx context.Context, inner *sqldb.Tx) error {
		tx := &Tx{Tx: inner, store: s}
		if err := f(ctx, tx); err != nil {
			return err
		}
		failpoint.Hit("store.before-commit")
		if err := tx.noteChange(ctx); err != nil {
			return err
		}
		claim, ok := reconcile.ClaimFrom(ctx)
		if !ok {
			return nil
		}
		return sqldb.CheckWork(ctx, inner, claim.Kind, claim.Key, claim.Fence)
	})
	if err == nil {
		failpoint.Hit("store.after-commit")
	}
	return err
}

// View runs f on one consistent snapshot; it can't write.
func (s *Store) View(ctx context.Context, f func(context.Context, *Tx) error) error {
	return s.db.View(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return f(ctx, &Tx{Tx: tx, store: s}) })
}

// Record appends an event to the ledger.
func (tx *Tx) Record(ctx context.Context, ev towpath.Event) error {
	tx.recorded = true
	if tx.subject == "" && ev.RequestID != "" {
		tx.subject = ev.Subject
	}
	return tx.store.recorder.Append(ctx, tx.Tx, ev)
}

// Enqueue asks the loop of a kind to look at a key, at a time or later.
func (tx *Tx) Enqueue(ctx context.Context, kind, key string, due time.Time) error {
	if err := sqldb.Enqueue(ctx, tx.Tx, kind, key, due); err != nil {
		return err
	}
	if tx.store.wake != nil {
		tx.AfterCommit(func() { tx.store.wake(kind) })
	}
	return nil
}

// notFound is the error of a noun that is not there.
func notFound(noun, subject string) error {
	return towpath.E(towpath.KindNotFound, noun+".get", "there is no such %s", noun).On(subject)
}

// one scans a single row; no row is "not found" of that noun.
func one(r interface{ Scan(dest ...any) error }, noun, subject string, dest ...any) error {
	err := r.Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return notFound(noun, subject)
	}
	return sqldb.MapError(noun+".get", err)
}

// doc encodes a noun for its doc column.
func doc(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", towpath.E(towpath.KindInternal, "store.encode", "a record can't be encoded").WithCause(err)
	}
	return string(b), nil
}

// undoc decodes a doc column.
func undoc(noun, text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return towpath.E(towpath.KindInternal, noun+".decode", "a stored %s can't be read", noun).WithCause(err)
	}
	return nil
}

// list scans rows of one doc column each.
func list[T any](ctx context.Context, tx *Tx, noun, query string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, sqldb.MapError(noun+".list", err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var text string
		var v T
		if err := rows.Scan(&text); err != nil {
			return nil, sqldb.MapError(noun+".list", err)
		}
		if err := undoc(noun, text, &v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, sqldb.MapError(noun+".list", rows.Err())
}

// exec runs a statement.
func (tx *Tx) exec(ctx context.Context, op, query string, args ...any) (int64, error) {
	res, err := tx.Exec(ctx, query, args...)
	if err != nil {
		return 0, sqldb.MapError(op, err)
	}
	n, err := res.RowsAffected()
	return n, sqldb.MapError(op, err)
}

// lock is the suffix that locks the rows of a SELECT where the engine has row
// locks; on SQLite a writing transaction has the whole database anyway.
func (tx *Tx) lock() string { return sqldb.ForUpdate(tx.Dialect()) }

// moved is the error of a write that lost a race against another.
func moved(noun, subject string) error {
	return towpath.E(towpath.KindConflict, noun+".save", "the %s was changed by somebody else in the meantime", noun).
		On(subject).WithHint("look at it again and repeat the command")
}
