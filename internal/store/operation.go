package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertOperation adds an operation and reports whether it is new: the same ID
// again changes nothing.
func (tx *Tx) InsertOperation(ctx context.Context, op towpath.Operation) (bool, error) {
	text, err := doc(op)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, "operation.insert", `INSERT INTO operation
		(id, deployment, promotion, target, place, phase, fence, lease, lease_until, run_after, created, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
		op.ID, stepOf(op), op.Promotion, op.Target.Key(), op.Target.Place, op.Phase, op.Fence, op.Lease,
		sqldb.Micros(op.LeaseUntil), sqldb.Micros(op.RunAfter), sqldb.Micros(op.CreatedAt), text)
	return n > 0, err
}

// stepOf is the deployment that an operation is a step of.
func stepOf(op towpath.Operation) towpath.DeploymentID {
	if op.Again {
		return ""
	}
	return op.Deployment
}

// LockOperation reads an operation and locks its row.
func (tx *Tx) LockOperation(ctx context.Context, id towpath.OperationID) (towpath.Operation, error) {
	var op towpath.Operation
	var text string
	if err := one(tx.QueryRow(ctx, `SELECT doc FROM operation WHERE id = $1`+tx.lock(), id), "operation", string(id), &text); err != nil {
		return op, err
	}
	return op, undoc("operation", text, &op)
}

// SaveOperation writes an operation that was locked in this transaction.
func (tx *Tx) SaveOperation(ctx context.Context, op towpath.Operation) error {
	text, err := doc(op)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "operation.save", `UPDATE operation SET phase = $1, fence = $2, lease = $3, lease_until = $4,
		run_after = $5, doc = $6 WHERE id = $7`,
		op.Phase, op.Fence, op.Lease, sqldb.Micros(op.LeaseUntil), sqldb.Micros(op.RunAfter), text, op.ID)
	return err
}

// OperationsOf lists the operations of a deployment as they were issued.
func (tx *Tx) OperationsOf(ctx context.Context, id towpath.DeploymentID) ([]towpath.Operation, error) {
	return list[towpath.Operation](ctx, tx, "operation", `SELECT doc FROM operation WHERE deployment = $1 ORDER BY created, id`, id)
}

// PlanOperations lists the plan operations of a promotion or preview.
func (tx *Tx) PlanOperations(ctx context.Context, id towpath.PromotionID) ([]towpath.Operation, error) {
	return list[towpath.Operation](ctx, tx, "operation", `SELECT doc FROM operation WHERE promotion = $1 ORDER BY created, id`, id)
}

// Claimable lists operations of a place that a session may take now, oldest
// first, of the projects and environments within: pending ones that are due, and
// running ones whose lease has run out or belongs to a session of before.
func (tx *Tx) Claimable(ctx context.Context, place towpath.PlaceName, within access.Scope, session string, now time.Time, limit int) ([]towpath.Operation, error) {
	where, args := targets("o.target", within, 6)
	if where == "" {
		return nil, nil
	}
	return list[towpath.Operation](ctx, tx, "operation", claimable(where)+sqldb.SkipLocked(tx.Dialect()),
		append([]any{place, sqldb.Micros(now), sqldb.Micros(now), session, limit}, args...)...)
}

// claimable is the query of those that meet a condition.
func claimable(where string) string {
	return `SELECT doc FROM operation o WHERE place = $1 AND (
			(phase = 'pending' AND run_after <= $2)
			OR (phase = 'running' AND (lease_until <= $3 OR lease <> $4)))
		AND ` + where + `
		AND NOT EXISTS (SELECT 1 FROM operation r WHERE r.target = o.target AND r.id <> o.id AND r.phase = 'running')
		ORDER BY created, id LIMIT $5`
}

// targets is a condition on a column of targets' keys, whose parameters begin at
// from; it is empty when nothing can meet it.
func targets(column string, in access.Scope, from int) (string, []any) {
	if in.All {
		return "1 = 1", nil
	}
	var some []string
	var args []any
	for _, s := range in.In {
		pattern := "%/" + like(string(s.Environment)) + "/%/%/%" // of five parts
		switch {
		case s.Environment == "":
			pattern = like(string(s.Project)) + "/%"
		case s.Project != "":
			pattern = like(string(s.Project)) + "/" + like(string(s.Environment)) + "/%"
		}
		some = append(some, column+" LIKE "+sqldb.Params(from+len(args), 1)+` ESCAPE '\'`)
		args = append(args, pattern)
	}
	if len(some) == 0 {
		return "", nil
	}
	return "(" + strings.Join(some, " OR ") + ")", args
}

// like is a text as a part of a pattern of LIKE.
func like(text string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text)
}

// OpenOperations lists the operations of places that have not ended and are not
// in doubt, and in whose records a text stands anywhere.
func (tx *Tx) OpenOperations(ctx context.Context, places []towpath.PlaceName, text string) ([]towpath.Operation, error) {
	if len(places) == 0 {
		return nil, nil
	}
	args := []any{"%" + like(text) + "%"}
	for _, p := range places {
		args = append(args, p)
	}
	return list[towpath.Operation](ctx, tx, "operation", `SELECT doc FROM operation WHERE place IN (`+sqldb.Params(2, len(places))+`)
		AND phase IN ('pending', 'running') AND doc LIKE $1 ESCAPE '\' ORDER BY created, id`, args...)
}

// VerificationOperations lists the operations of a verification.
func (tx *Tx) VerificationOperations(ctx context.Context, id towpath.PromotionID) ([]towpath.Operation, error) {
	return tx.PlanOperations(ctx, id)
}

// OpenVerifications lists the operations of verifications on a target that have not
// ended, as they were issued.
func (tx *Tx) OpenVerifications(ctx context.Context, t towpath.Target) ([]towpath.Operation, error) {
	ops, err := list[towpath.Operation](ctx, tx, "operation", `SELECT doc FROM operation WHERE place = $1
		AND phase IN ('pending', 'running', 'unknown') AND target = $2 AND deployment = '' ORDER BY created, id`, t.Place, t.Key())
	return slices.DeleteFunc(ops, func(op towpath.Operation) bool { return !op.Again }), err
}

// Leased lists and locks the running operations of a place that a session has
// a lease of.
func (tx *Tx) Leased(ctx context.Context, place towpath.PlaceName, session string) ([]towpath.Operation, error) {
	return list[towpath.Operation](ctx, tx, "operation",
		`SELECT doc FROM operation WHERE place = $1 AND phase = 'running' AND lease = $2 ORDER BY id`+tx.lock(), place, session)
}

// ClaimableAt is when the next pending operation of a place falls due; zero
// when none is pending.
func (tx *Tx) ClaimableAt(ctx context.Context, place towpath.PlaceName) (time.Time, error) {
	var at *int64
	err := tx.QueryRow(ctx, `SELECT MIN(run_after) FROM operation WHERE place = $1 AND phase = 'pending'`, place).Scan(&at)
	if err != nil || at == nil {
		return time.Time{}, sqldb.MapError("operation.due", err)
	}
	return sqldb.Time(*at), nil
}
