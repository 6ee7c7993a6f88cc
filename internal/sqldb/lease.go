package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Lease is the right to be the one that does something, such as to sequence
// the ledger. Time decides who may try; only the fence decides who may write.
type Lease struct {
	Name  string
	Owner string
	Fence int64 // grows with every acquisition of the name
	Until time.Time
}

// AcquireLease takes the lease of a name when nobody has it at now, or renews
// it when owner has it, in which case the fence stays. ok is false while
// somebody else has it. owner must be unique to the process and its start. A
// lease that ends more than twice ttl after now was taken by a clock that was
// ahead, and is as if it had ended: all who want a name give one ttl.
func AcquireLease(ctx context.Context, db *DB, name, owner string, now time.Time, ttl time.Duration) (l Lease, ok bool, err error) {
	l = Lease{Name: name, Owner: owner, Until: now.Add(ttl)}
	err = db.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		err := tx.QueryRow(ctx, `INSERT INTO lease (name, owner, fence, until) VALUES ($1, $2, 1, $3)
			ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until,
				fence = lease.fence + CASE WHEN lease.owner = excluded.owner AND lease.until > $4 THEN 0 ELSE 1 END
			WHERE lease.until <= $4 OR lease.until > $5 OR lease.owner = excluded.owner
			RETURNING fence`, name, owner, Micros(l.Until), Micros(now), Micros(now.Add(2*ttl))).Scan(&l.Fence)
		if ok = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || !ok {
		return Lease{}, false, err
	}
	return l, true, nil
}

// CheckLease fails as locked unless l is the newest holder of its name, and
// keeps others from taking it until tx ends. Every write under a lease needs
// it in its transaction.
func CheckLease(ctx context.Context, tx *Tx, l Lease) error {
	var fence int64
	err := tx.QueryRow(ctx, `SELECT fence FROM lease WHERE name = $1`+ForUpdate(tx.Dialect()), l.Name).Scan(&fence)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if fence != l.Fence {
		return towpath.E(towpath.KindLocked, "lease.check", "the lease was lost to another process").On(l.Name)
	}
	return nil
}

// ReleaseLease lets others take the lease at once. A lease that was lost
// already stays as it is.
func ReleaseLease(ctx context.Context, db *DB, l Lease) error {
	_, err := db.Exec(ctx, `UPDATE lease SET until = 0 WHERE name = $1 AND fence = $2`, l.Name, l.Fence)
	return err
}

// AdvanceFences makes every later fence greater than any that was given out
// before a restore of the database: a holder from before, still alive, is
// stale. Call it once after a restore, before anything is claimed.
func AdvanceFences(ctx context.Context, tx *Tx) error {
	const jump = 1 << 32 // more than a database hands out between two backups
	if _, err := tx.Exec(ctx, `UPDATE lease SET fence = fence + $1, until = 0`, int64(jump)); err != nil {
		return err
	}
	query := `UPDATE work_fence SET value = value + $1`
	if tx.Dialect() == Postgres {
		query = `SELECT setval('work_fence', nextval('work_fence') + $1)`
	}
	_, err := tx.Exec(ctx, query, int64(jump))
	return err
}
