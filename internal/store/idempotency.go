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

// Idempotency keeps the answers to changes by account and key. A claim of a
// key belongs to a process; the transaction of the change that is made under
// it says so in the claim, so that whoever repeats a request after a crash
// never has it done twice.
type Idempotency struct {
	store *Store
	owner string
	now   func() time.Time
}

// Answer is what is kept under a key.
type Answer struct {
	Hash   towpath.Digest // of the request
	Status int            // 0 while the request is in flight
	Body   []byte
	// Lost says that the change was made and that nobody is left to answer.
	Lost    bool
	Subject string // ID of what was changed, when it is known
}

// statusLost marks a change that was made and whose answer was lost.
const statusLost = -2

// NewIdempotency makes the store of answers of one process, whose presence it
// shows by owner (see [sqldb.Presence]).
func NewIdempotency(s *Store, owner string, now func() time.Time) *Idempotency {
	return &Idempotency{s, owner, now}
}

// requestKey is the key of a context's request, in transactions.
type requestKey struct{}

// request is a claim of an idempotency key.
type request struct {
	account towpath.AccountName
	key     string
	owner   string
}

// Begin claims a key for a request: a nil answer says that the caller is the
// first. What it changes in transactions under the context that is returned is
// noted in the claim, and is refused as locked when the claim was taken over.
func (i *Idempotency) Begin(ctx context.Context, account towpath.AccountName, key string, hash towpath.Digest) (context.Context, *Answer, error) {
	now := i.now()
	var found *Answer
	err := i.store.Update(ctx, func(ctx context.Context, tx *Tx) error {
		found = nil
		if _, err := tx.exec(ctx, "idempotency.sweep", `DELETE FROM idempotency WHERE at < $1`, sqldb.Micros(now.Add(-keepAnswers))); err != nil {
			return err
		}
		n, err := tx.exec(ctx, "idempotency.begin", `INSERT INTO idempotency (account, key, hash, status, body, at, owner)
			VALUES ($1, $2, $3, 0, '', $4, $5) ON CONFLICT DO NOTHING`, account, key, hash, sqldb.Micros(now), i.owner)
		if err != nil || n > 0 {
			return err
		}
		found, err = i.repeated(ctx, tx, account, key, hash, now)
		return err
	})
	return context.WithValue(ctx, requestKey{}, request{account, key, i.owner}), found, err
}

// repeated is what is known of a key that was claimed before; nil when its
// claim is that of a process that died before it changed anything, which the
// caller then has.
func (i *Idempotency) repeated(ctx context.Context, tx *Tx, account towpath.AccountName, key string, hash towpath.Digest, now time.Time) (*Answer, error) {
	var body, owner string
	var made int
	a := new(Answer)
	err := tx.QueryRow(ctx, `SELECT hash, status, body, owner, made, subject FROM idempotency WHERE account = $1 AND key = $2`+tx.lock(), account, key).
		Scan(&a.Hash, &a.Status, &body, &owner, &made, &a.Subject)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, towpath.E(towpath.KindLocked, "idempotency.begin", "the same change is being made right now").WithHint("try again")
	}
	if err != nil {
		return nil, sqldb.MapError("idempotency.begin", err)
	}
	a.Lost = a.Status == statusLost
	if a.Status != 0 || a.Hash != hash {
		a.Body, err = base64.StdEncoding.DecodeString(body)
		return a, err
	}
	alive := owner == i.owner
	if !alive {
		if alive, err = sqldb.Present(ctx, tx, owner, now); err != nil {
			return nil, err
		}
	}
	if alive {
		return a, nil
	}
	if a.Lost = made != 0; a.Lost {
		return a, nil
	}
	_, err = tx.exec(ctx, "idempotency.takeover", `UPDATE idempotency SET owner = $1, at = $2 WHERE account = $3 AND key = $4`,
		i.owner, sqldb.Micros(now), account, key)
	return nil, err
}

// noteChange writes into the claim of the context's request that its change
// was made, in the transaction of the change.
func (tx *Tx) noteChange(ctx context.Context) error {
	r, ok := ctx.Value(requestKey{}).(request)
	if !ok || !tx.recorded {
		return nil
	}
	n, err := tx.exec(ctx, "idempotency.made", `UPDATE idempotency SET made = 1,
			subject = CASE WHEN subject = '' THEN CAST($1 AS TEXT) ELSE subject END
		WHERE account = $2 AND key = $3 AND owner = $4 AND status = 0`, tx.subject, r.account, r.key, r.owner)
	if err == nil && n == 0 {
		return towpath.E(towpath.KindLocked, "idempotency.made", "this server was taken for dead, and the request is being done by another").
			WithHint("repeat it with the same idempotency key")
	}
	return err
}

// Finish stores the answer to the request that claimed the key.
func (i *Idempotency) Finish(ctx context.Context, account towpath.AccountName, key string, status int, body []byte) error {
	return i.store.Update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, "idempotency.finish", `UPDATE idempotency SET status = $1, body = $2 WHERE account = $3 AND key = $4 AND owner = $5`,
			status, base64.StdEncoding.EncodeToString(body), account, key, i.owner)
		return err
	})
}

// Abandon frees a claimed key: the request changed nothing.
func (i *Idempotency) Abandon(ctx context.Context, account towpath.AccountName, key string) error {
	return i.store.Update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, "idempotency.abandon", `DELETE FROM idempotency WHERE account = $1 AND key = $2 AND owner = $3`, account, key, i.owner)
		return err
	})
}

// Lose ends a claim whose request failed in a way that doesn't say what became
// of it: the key is freed, unless its change was made.
func (i *Idempotency) Lose(ctx context.Context, account towpath.AccountName, key string) error {
	return i.store.Update(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.exec(ctx, "idempotency.lose", `DELETE FROM idempotency WHERE account = $1 AND key = $2 AND owner = $3 AND made = 0`,
			account, key, i.owner); err != nil {
			return err
		}
		_, err := tx.exec(ctx, "idempotency.lose", `UPDATE idempotency SET status = $1 WHERE account = $2 AND key = $3 AND owner = $4`,
			statusLost, account, key, i.owner)
		return err
	})
}
