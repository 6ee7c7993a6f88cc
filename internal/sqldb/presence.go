package sqldb

import (
	"context"
	"time"
)

// presencePrefix begins the names of the leases that say that a process lives.
const presencePrefix = "process/"

// Presence is the sign of life of one process to the others on a database: a
// lease of its own name. What a process claimed without a lease is free for
// others once its presence has ended; as with every lease, time only decides
// who may try.
type Presence struct {
	db    *DB
	owner string
	ttl   time.Duration
	lease Lease
}

// NewPresence makes the presence of a process. owner must be unique to the
// process and its start; ttl is how long it is believed alive after its last
// sign.
func NewPresence(db *DB, owner string, ttl time.Duration) *Presence {
	return &Presence{db: db, owner: owner, ttl: ttl}
}

// Show gives a sign of life, and forgets processes that gave none for a day.
func (p *Presence) Show(ctx context.Context, now time.Time) error {
	l, ok, err := AcquireLease(ctx, p.db, presencePrefix+p.owner, p.owner, now, p.ttl)
	if err != nil || !ok {
		return err
	}
	if p.lease.Fence == 0 { // once in a life is enough
		_, err = p.db.Exec(ctx, `DELETE FROM lease WHERE name LIKE $1 AND until < $2`, presencePrefix+"%", Micros(now.Add(-24*time.Hour)))
	}
	p.lease = l
	return err
}

// Present reports whether a process has given a sign of life that holds at now.
func Present(ctx context.Context, q Querier, owner string, now time.Time) (bool, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT COUNT(*) FROM lease WHERE name = $1 AND until > $2`, presencePrefix+owner, Micros(now)).Scan(&n)
	return n > 0, mapError("sqldb.presence", err)
}

// ForgetHolders ends every lease and every claim of work: all who had them are
// known to be dead. Fences go on growing, so one that lives all the same can
// write nothing.
func ForgetHolders(ctx context.Context, db *DB) error {
	return db.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE work SET lease_until = 0, lease_owner = '', fence = 0 WHERE lease_until > 0`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE lease SET until = 0, fence = fence + 1 WHERE until > 0`)
		return err
	})
}
