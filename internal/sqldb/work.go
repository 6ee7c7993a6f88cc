package sqldb

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Work is a claimed entry of the [Queue]: nobody else has it until its lease
// ends. Its fence grows with every claim of any key, also after the key was
// done and enqueued anew.
type Work struct {
	Kind, Key  string
	Fence, Gen int64
	Attempts   int // failures since the last success
}

// Queue is the durable queue of work: at most one entry per kind and key,
// claimed by one worker at a time, kept until it was done as of its latest
// enqueueing.
type Queue struct {
	db    *DB
	owner string
}

// NewQueue makes a queue on db. owner names this process for people who look
// at the table; correctness rests on fences alone.
func NewQueue(db *DB, owner string) *Queue { return &Queue{db: db, owner: owner} }

// Enqueue asks for key to be worked on, at due or as soon after as possible.
// It belongs in the transaction of the change that causes the work. A key that
// waits comes forward to due; one that is being worked on runs again after.
func Enqueue(ctx context.Context, q Querier, kind, key string, due time.Time) error {
	_, err := q.Exec(ctx, `INSERT INTO work (kind, key, run_after) VALUES ($1, $2, $3)
		ON CONFLICT (kind, key) DO UPDATE SET gen = work.gen + 1,
			run_after = CASE WHEN excluded.run_after < work.run_after THEN excluded.run_after ELSE work.run_after END`,
		kind, key, Micros(due))
	return err
}

// Claim leases up to limit due entries of the kinds until now + lease, the
// longest due first. One that is leased until more than twice lease after now
// was claimed by a clock that was ahead, and is free: all give one lease.
func (q *Queue) Claim(ctx context.Context, kinds []string, now time.Time, lease time.Duration, limit int) ([]Work, error) {
	if len(kinds) == 0 || limit <= 0 {
		return nil, nil
	}
	if some, err := q.anyDue(ctx, kinds, now, lease); err != nil || !some {
		return nil, err
	}
	var claimed []Work
	err := q.db.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		claimed = nil
		fence, err := nextFence(ctx, tx)
		if err != nil {
			return err
		}
		args := []any{q.owner, Micros(now.Add(lease)), fence, Micros(now), limit, Micros(now.Add(2 * lease))}
		rows, err := tx.Query(ctx, `WITH due AS MATERIALIZED (
				SELECT kind AS due_kind, key AS due_key FROM work
				WHERE kind IN (`+Params(len(args)+1, len(kinds))+`) AND run_after <= $4 AND (lease_until <= $4 OR lease_until > $6)
				ORDER BY run_after LIMIT $5`+SkipLocked(tx.Dialect())+`)
			UPDATE work SET lease_owner = $1, lease_until = $2, fence = $3
			FROM due WHERE kind = due_kind AND key = due_key
			RETURNING kind, key, fence, gen, attempts`, append(args, anys(kinds)...)...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var w Work
			if err := rows.Scan(&w.Kind, &w.Key, &w.Fence, &w.Gen, &w.Attempts); err != nil {
				return err
			}
			claimed = append(claimed, w)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(claimed, func(a, b Work) int { return strings.Compare(a.Key, b.Key) })
	return claimed, nil
}

// Due is when the next entry of the kinds can be claimed; ok is false when
// there is none.
func (q *Queue) Due(ctx context.Context, kinds []string) (due time.Time, ok bool, err error) {
	var at *int64
	err = q.db.QueryRow(ctx, `SELECT MIN(CASE WHEN lease_until > run_after THEN lease_until ELSE run_after END)
		FROM work WHERE kind IN (`+Params(1, len(kinds))+`)`, anys(kinds)...).Scan(&at)
	if err != nil || at == nil {
		return time.Time{}, false, mapError("work.due", err)
	}
	return Time(*at), true, nil
}

// Renew extends the lease of w until now + lease. A claim that was lost is
// locked.
func (q *Queue) Renew(ctx context.Context, w Work, now time.Time, lease time.Duration) error {
	return q.update(ctx, w, `UPDATE work SET lease_until = $4 WHERE kind = $1 AND key = $2 AND fence = $3`, Micros(now.Add(lease)))
}

// Done ends w. If it was enqueued again since the claim it is released, to run
// again at once, instead of removed.
func (q *Queue) Done(ctx context.Context, w Work, now time.Time) error {
	return q.db.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		res, err := tx.Exec(ctx, `DELETE FROM work WHERE kind = $1 AND key = $2 AND fence = $3 AND gen = $4`, w.Kind, w.Key, w.Fence, w.Gen)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return execFenced(ctx, tx, w, `UPDATE work SET lease_until = 0, lease_owner = '', attempts = 0, last_error = '', run_after = $4
			WHERE kind = $1 AND key = $2 AND fence = $3`, Micros(now))
	})
}

// Snooze ends this round of w and makes it due after a while, or at once if it
// was enqueued again since the claim.
func (q *Queue) Snooze(ctx context.Context, w Work, now time.Time, after time.Duration) error {
	return q.update(ctx, w, `UPDATE work SET lease_until = 0, lease_owner = '', attempts = 0, last_error = '',
			run_after = CASE WHEN gen = $4 THEN CAST($5 AS BIGINT) ELSE CAST($6 AS BIGINT) END
		WHERE kind = $1 AND key = $2 AND fence = $3`, w.Gen, Micros(now.Add(after)), Micros(now))
}

// Fail records that this round of w failed and makes it due after a while. If
// it was enqueued again since the claim it waits a second at most: what
// happened since may have removed the cause.
func (q *Queue) Fail(ctx context.Context, w Work, now time.Time, after time.Duration, reason string) error {
	return q.update(ctx, w, `UPDATE work SET lease_until = 0, lease_owner = '', attempts = attempts + 1, last_error = $4,
			run_after = CASE WHEN gen = $5 THEN CAST($6 AS BIGINT) ELSE CAST($7 AS BIGINT) END
		WHERE kind = $1 AND key = $2 AND fence = $3`,
		clip(reason), w.Gen, Micros(now.Add(after)), Micros(now.Add(min(after, time.Second))))
}

// Release gives w back unfinished, to be claimed at once by anyone: the process
// is stopping.
func (q *Queue) Release(ctx context.Context, w Work) error {
	return q.update(ctx, w, `UPDATE work SET lease_until = 0, lease_owner = '' WHERE kind = $1 AND key = $2 AND fence = $3`)
}

// CheckWork is the fence of writes that a claim caused: it fails as locked when
// fence is no longer that of the entry, and otherwise keeps others from
// claiming it until tx ends. Call it after the rows of the aggregate are
// locked, as Enqueue is, so that transactions lock in one order.
func CheckWork(ctx context.Context, tx *Tx, kind, key string, fence int64) error {
	return execFenced(ctx, tx, Work{Kind: kind, Key: key, Fence: fence},
		`UPDATE work SET fence = fence WHERE kind = $1 AND key = $2 AND fence = $3`)
}

// anyDue keeps a queue that is polled while empty from writing.
func (q *Queue) anyDue(ctx context.Context, kinds []string, now time.Time, lease time.Duration) (bool, error) {
	var n int
	err := q.db.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM work WHERE run_after <= $1 AND (lease_until <= $1 OR lease_until > $2)
		AND kind IN (`+Params(3, len(kinds))+`) LIMIT 1) AS one`, append([]any{Micros(now), Micros(now.Add(2 * lease))}, anys(kinds)...)...).Scan(&n)
	return n > 0, mapError("work.claim", err)
}

func (q *Queue) update(ctx context.Context, w Work, query string, args ...any) error {
	return execFenced(ctx, q.db, w, query, args...)
}

// execFenced runs a statement whose $1, $2, $3 are kind, key and fence.
func execFenced(ctx context.Context, q Querier, w Work, query string, args ...any) error {
	res, err := q.Exec(ctx, query, append([]any{w.Kind, w.Key, w.Fence}, args...)...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return towpath.E(towpath.KindLocked, "work.fence", "somebody else works on this now").On(w.Kind + " " + w.Key)
}

// nextFence grows with every call, across all processes.
func nextFence(ctx context.Context, tx *Tx) (fence int64, err error) {
	query := `UPDATE work_fence SET value = value + 1 RETURNING value`
	if tx.Dialect() == Postgres {
		query = `SELECT nextval('work_fence')` // no row lock that claimers would queue for
	}
	err = tx.QueryRow(ctx, query).Scan(&fence)
	return fence, err
}

func anys(ss []string) []any {
	out := make([]any, len(ss))
	for i, s := range ss {
		out[i] = s
	}
	return out
}

// clip bounds a reason to what the table keeps.
func clip(s string) string {
	const limit = 2000
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
