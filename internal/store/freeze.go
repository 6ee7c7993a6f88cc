package store

import (
	"context"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertFreeze adds a freeze.
func (tx *Tx) InsertFreeze(ctx context.Context, f towpath.Freeze) error {
	text, err := doc(f)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "freeze.insert", `INSERT INTO promotion_freeze (id, project, doc) VALUES ($1, $2, $3)`, f.ID, f.Project, text)
	return err
}

// Freeze reads a freeze that has not been lifted.
func (tx *Tx) Freeze(ctx context.Context, id towpath.FreezeID) (towpath.Freeze, error) {
	var f towpath.Freeze
	var text string
	if err := one(tx.QueryRow(ctx, `SELECT doc FROM promotion_freeze WHERE id = $1 AND lifted = 0`, id), "freeze", string(id), &text); err != nil {
		return f, err
	}
	return f, undoc("freeze", text, &f)
}

// Freezes lists the freezes not lifted that stop a project, those of all
// projects among them.
func (tx *Tx) Freezes(ctx context.Context, p towpath.ProjectName) ([]towpath.Freeze, error) {
	return list[towpath.Freeze](ctx, tx, "freeze", `SELECT doc FROM promotion_freeze WHERE lifted = 0 AND project IN ($1, '') ORDER BY id`, p)
}

// LiftFreeze ends a freeze.
func (tx *Tx) LiftFreeze(ctx context.Context, id towpath.FreezeID) error {
	n, err := tx.exec(ctx, "freeze.lift", `UPDATE promotion_freeze SET lifted = 1 WHERE id = $1 AND lifted = 0`, id)
	if err == nil && n == 0 {
		return notFound("freeze", string(id))
	}
	return err
}

// SaveCheck writes the latest status of an external check.
func (tx *Tx) SaveCheck(ctx context.Context, c towpath.Check) error {
	text, err := doc(c)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "check.save", `INSERT INTO external_check (project, candidate, environment, key, doc)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, candidate, environment, key) DO UPDATE SET doc = excluded.doc`,
		c.Project, c.Candidate, c.Environment, c.Key, text)
	return err
}

// Checks lists the checks of a candidate for an environment and those for all.
func (tx *Tx) Checks(ctx context.Context, p towpath.ProjectName, c towpath.CandidateID, e towpath.EnvironmentName) ([]towpath.Check, error) {
	return list[towpath.Check](ctx, tx, "check", `SELECT doc FROM external_check
		WHERE project = $1 AND candidate = $2 AND environment IN ($3, '') ORDER BY key, environment`, p, c, e)
}

// RecordMerge remembers a merge commit that brings nothing of its own, so that
// it never counts as foreign.
func (tx *Tx) RecordMerge(ctx context.Context, p towpath.ProjectName, c towpath.CommitID, at int64) error {
	_, err := tx.exec(ctx, "merge.record", `INSERT INTO recorded_merge (project, commit_id, at) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, p, c, at)
	return err
}

// RecordedMerges lists every recorded merge of a project.
func (tx *Tx) RecordedMerges(ctx context.Context, p towpath.ProjectName) (map[towpath.CommitID]bool, error) {
	ids, err := tx.strings(ctx, "merge.list", `SELECT commit_id FROM recorded_merge WHERE project = $1`, p)
	out := map[towpath.CommitID]bool{}
	for _, id := range ids {
		out[towpath.CommitID(id)] = true
	}
	return out, sqldb.MapError("merge.list", err)
}
