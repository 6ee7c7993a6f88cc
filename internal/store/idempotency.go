package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// keepAnswers is how long the answer to a change may be asked for again.
const keepAnswers = 24 * time.Hour

// Idempotency keeps the answers to changes by account and key.
type Idempotency struct {
	store    *Store
	now      func() time.Time
	claimFor time.Duration
}

// Answer is what is kept under a key.
type Answer struct {
	Hash   towpath.Digest // of the request
	Status int            // 0 while the request is in flight
	Body   []byte
}

// NewIdempotency makes the store of answers. A claim that is older than
// claimFor is that of a dead process and becomes free again.
func NewIdempotency(s *Store, now func() time.Time, claimFor time.Duration) *Idempotency {
	return &Idempotency{s, now, claimFor}
}

// Begin claims a key for a request: nil says that the caller is the first.
func (i *Idempotency) Begin(ctx context.Context, account towpath.AccountName, key string, hash towpath.Digest) (*Answer, error) {
	now := i.now()
	var found *Answer
	err := i.store.Update(ctx, func(ctx context.Context, tx *Tx) error {
		found = nil
		if _, err := tx.exec(ctx, "idempotency.sweep", `DELETE FROM idempotency WHERE at < $1 OR (status = 0 AND at < $2)`,
			sqldb.Micros(now.Add(-keepAnswers)), sqldb.Micros(now.Add(-i.claimFor))); err != nil {
			return err
		}
		n, err := tx.exec(ctx, "idempotency.begin", `INSERT INTO idempotency (account, key, hash, status, body, at)
			VALUES ($1, $2, $3, 0, '', $4) ON CONFLICT DO NOTHING`, account, key, hash, sqldb.Micros(now))
		if err != nil || n > 0 {
			return err
		}
		var body string
		s := new(Answer)
		err = tx.QueryRow(ctx, `SELECT hash, status, body FROM idempotency WHERE account = $1 AND key = $2`, account, key).
			Scan(&s.Hash, &s.Status, &body)
		if errors.Is(err, sql.ErrNoRows) {
			return towpath.E(towpath.KindLocked, "idempotency.begin", "the same change is being made right now").WithHint("try again")
		}
		if err != nil {
			return sqldb.MapError("idempotency.begin", err)
		}
		s.Body, err = base64.StdEncoding.DecodeString(body)
		found = s
		return err
	})
	return found, err
}

// Finish stores the answer to the request that claimed the key.
func (i *Idempotency) Finish(ctx context.Context, account towpath.AccountName, key string, status int, body []byte) error {
	return i.store.Update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, "idempotency.finish", `UPDATE idempotency SET status = $1, body = $2 WHERE account = $3 AND key = $4`,
			status, base64.StdEncoding.EncodeToString(body), account, key)
		return err
	})
}

// Abandon frees a claimed key: the request changed nothing.
func (i *Idempotency) Abandon(ctx context.Context, account towpath.AccountName, key string) error {
	return i.store.Update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, "idempotency.abandon", `DELETE FROM idempotency WHERE account = $1 AND key = $2`, account, key)
		return err
	})
}
