package store

import (
	"context"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertEnvironment adds an environment; one that exists is left as it is.
func (tx *Tx) InsertEnvironment(ctx context.Context, e towpath.Environment) (bool, error) {
	text, err := doc(e)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, "environment.insert", `INSERT INTO environment (project, name, position, digest, rev, doc)
		VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT DO NOTHING`, e.Project, e.Name, e.Position, e.Release, text)
	return n > 0, err
}

// Environment reads an environment.
func (tx *Tx) Environment(ctx context.Context, p towpath.ProjectName, name towpath.EnvironmentName) (towpath.Environment, error) {
	return tx.environment(ctx, p, name, "")
}

// LockEnvironment reads an environment and locks its row until the end of the
// transaction: whatever starts, ends or pre-empts a deployment holds it.
func (tx *Tx) LockEnvironment(ctx context.Context, p towpath.ProjectName, name towpath.EnvironmentName) (towpath.Environment, error) {
	return tx.environment(ctx, p, name, tx.lock())
}

func (tx *Tx) environment(ctx context.Context, p towpath.ProjectName, name towpath.EnvironmentName, lock string) (towpath.Environment, error) {
	var e towpath.Environment
	var text string
	var rev int64
	err := one(tx.QueryRow(ctx, `SELECT doc, rev FROM environment WHERE project = $1 AND name = $2`+lock, p, name),
		"environment", string(p)+"/"+string(name), &text, &rev)
	if err != nil {
		return e, err
	}
	err = undoc("environment", text, &e)
	e.Rev = rev
	return e, err
}

// Environments lists the environments of a project in upstream order.
func (tx *Tx) Environments(ctx context.Context, p towpath.ProjectName) ([]towpath.Environment, error) {
	return list[towpath.Environment](ctx, tx, "environment", `SELECT doc FROM environment WHERE project = $1 ORDER BY position, name`, p)
}

// EnvironmentsRunning lists the environments of a project that run a release.
func (tx *Tx) EnvironmentsRunning(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]towpath.EnvironmentName, error) {
	names, err := tx.strings(ctx, "environment.running",
		`SELECT name FROM environment WHERE project = $1 AND digest = $2 ORDER BY position`, p, d)
	var out []towpath.EnvironmentName
	for _, n := range names {
		out = append(out, towpath.EnvironmentName(n))
	}
	return out, err
}

// SaveEnvironment writes an environment that was read in this transaction.
func (tx *Tx) SaveEnvironment(ctx context.Context, e towpath.Environment) error {
	text, err := doc(e)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "environment.save", `UPDATE environment SET position = $1, digest = $2, rev = rev + 1, doc = $3
		WHERE project = $4 AND name = $5 AND rev = $6`, e.Position, e.Release, text, e.Project, e.Name, e.Rev)
	if err == nil && n == 0 {
		return moved("environment", string(e.Name))
	}
	return err
}

// SaveRun writes a stay of a candidate in an environment.
func (tx *Tx) SaveRun(ctx context.Context, r towpath.Run) error {
	text, err := doc(r)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "run.save", `INSERT INTO run (project, environment, deployment, candidate, digest, began, doc)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project, environment, deployment) DO UPDATE SET doc = excluded.doc`,
		r.Project, r.Environment, r.Deployment, r.Candidate, r.Release, sqldb.Micros(r.Began), text)
	return err
}

// Runs lists the newest stays in an environment, at most limit.
func (tx *Tx) Runs(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, limit int) ([]towpath.Run, error) {
	return list[towpath.Run](ctx, tx, "run", `SELECT doc FROM run WHERE project = $1 AND environment = $2
		ORDER BY began DESC, deployment DESC LIMIT $3`, p, e, limit)
}

// RunsOf lists the stays of one candidate in an environment, newest first.
func (tx *Tx) RunsOf(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, c towpath.CandidateID) ([]towpath.Run, error) {
	return list[towpath.Run](ctx, tx, "run", `SELECT doc FROM run WHERE project = $1 AND environment = $2 AND candidate = $3
		ORDER BY began DESC, deployment DESC`, p, e, c)
}
