package store

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertDeployment adds a deployment. A second active one in an environment is
// refused by the database.
func (tx *Tx) InsertDeployment(ctx context.Context, d towpath.Deployment) error {
	text, err := doc(withoutSteps(d))
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "deployment.insert", `INSERT INTO deployment (id, project, environment, created, active, rev, doc)
		VALUES ($1, $2, $3, $4, $5, 1, $6)`, d.ID, d.Project, d.Environment, sqldb.Micros(d.CreatedAt), active(d), text)
	if sqldb.IsUnique(err) {
		return towpath.E(towpath.KindLocked, "deployment.insert", "another deployment is active in %s", d.Environment).WithCause(err)
	}
	return err
}

// Deployment reads a deployment with the steps of its rollouts.
func (tx *Tx) Deployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error) {
	return tx.deployment(ctx, id, "")
}

// LockDeployment reads a deployment and locks its row.
func (tx *Tx) LockDeployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error) {
	return tx.deployment(ctx, id, tx.lock())
}

func (tx *Tx) deployment(ctx context.Context, id towpath.DeploymentID, lock string) (towpath.Deployment, error) {
	var d towpath.Deployment
	var text string
	var rev int64
	if err := one(tx.QueryRow(ctx, `SELECT doc, rev FROM deployment WHERE id = $1`+lock, id), "deployment", string(id), &text, &rev); err != nil {
		return d, err
	}
	if err := undoc("deployment", text, &d); err != nil {
		return d, err
	}
	d.Rev = rev
	return d, tx.addSteps(ctx, &d)
}

// SaveDeployment writes a deployment that was read in this transaction. Steps
// are operations and saved as such.
func (tx *Tx) SaveDeployment(ctx context.Context, d towpath.Deployment) error {
	text, err := doc(withoutSteps(d))
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "deployment.save", `UPDATE deployment SET active = $1, rev = rev + 1, doc = $2 WHERE id = $3 AND rev = $4`,
		active(d), text, d.ID, d.Rev)
	if err == nil && n == 0 {
		return moved("deployment", string(d.ID))
	}
	return err
}

// Deployments lists deployments newest first, at most limit.
func (tx *Tx) Deployments(ctx context.Context, f deploy.Filter, limit int) ([]towpath.Deployment, error) {
	var out []towpath.Deployment
	for more := true; more && len(out) < limit; {
		page, err := tx.deployments(ctx, f, limit)
		if err != nil {
			return nil, err
		}
		if more = f.Brings && len(page) == limit; more {
			f.Cursor = string(page[limit-1].ID)
		}
		for _, d := range page {
			if len(out) < limit && (!f.Brings || d.Kind != towpath.DeploymentRepair) {
				out = append(out, d)
			}
		}
	}
	for i := range out {
		if err := tx.addSteps(ctx, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// deployments is a page of deployments of any kind, without their steps.
func (tx *Tx) deployments(ctx context.Context, f deploy.Filter, limit int) ([]towpath.Deployment, error) {
	q := `SELECT doc FROM deployment WHERE project = $1`
	args := []any{f.Project}
	add := func(clause string, v any) {
		args = append(args, v)
		q += clause + sqldb.Params(len(args), 1)
	}
	if f.Environment != "" {
		add(` AND environment = `, f.Environment)
	}
	if f.Cursor != "" {
		add(` AND id < `, f.Cursor)
	}
	add(` ORDER BY id DESC LIMIT `, limit)
	return list[towpath.Deployment](ctx, tx, "deployment", q, args...)
}

// Asking lists every environment, with whether what is deployed to it waits for a
// person.
func (tx *Tx) Asking(ctx context.Context) ([]deploy.Asking, error) {
	rows, err := tx.Query(ctx, `SELECT e.project, e.name, COALESCE(d.doc, '') FROM environment e
		LEFT JOIN deployment d ON d.project = e.project AND d.environment = e.name AND d.active = 1
		ORDER BY e.project, e.name`)
	if err != nil {
		return nil, sqldb.MapError("deployment.asking", err)
	}
	defer rows.Close()
	var out []deploy.Asking
	for rows.Next() {
		var a deploy.Asking
		var text string
		if err := rows.Scan(&a.Project, &a.Environment, &text); err != nil {
			return nil, sqldb.MapError("deployment.asking", err)
		}
		if text != "" {
			var d towpath.Deployment
			if err := undoc("deployment", text, &d); err != nil {
				return nil, err
			}
			a.Asks = d.Asks
		}
		out = append(out, a)
	}
	return out, sqldb.MapError("deployment.asking", rows.Err())
}

func (tx *Tx) addSteps(ctx context.Context, d *towpath.Deployment) error {
	ops, err := tx.OperationsOf(ctx, d.ID)
	if err != nil {
		return err
	}
	for _, op := range ops {
		i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == op.Target.Component })
		if i < 0 {
			continue
		}
		step := towpath.Step{
			Operation: op.ID, Verb: op.Verb, Phase: op.Phase, Attempt: op.Attempt, Weight: op.Spec.Weight, Copies: op.Spec.Copies.Share(),
			Issued: op.CreatedAt, Began: op.BeganAt, Ended: op.EndedAt,
		}
		if op.ResolvedAt.After(step.Issued) {
			step.Issued = op.ResolvedAt
		}
		if op.Result != nil {
			step.Message, step.Log = op.Result.Message, op.Result.Log
		}
		if op.Said != "" && !towpath.OperationTransitions().Terminal(op.Phase) { // older versions left it there
			step.Message = op.Said
		}
		d.Components[i].Steps = append(d.Components[i].Steps, step)
	}
	return nil
}

func withoutSteps(d towpath.Deployment) towpath.Deployment {
	d.Away = nil
	d.Components = slices.Clone(d.Components)
	for i := range d.Components {
		d.Components[i].Steps = nil
	}
	return d
}

func active(d towpath.Deployment) int64 {
	return sqldb.Bool(!towpath.DeploymentTransitions().Terminal(d.Phase))
}
