package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// quarantined is why a release is revoked, without a reason when it is not, and
// the causes for which it was and for which that was lifted.
type quarantined struct {
	towpath.Quarantine
	Lifted []string `json:"lifted,omitempty"`
}

func (tx *Tx) quarantined(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (q quarantined, err error) {
	var text string
	err = tx.QueryRow(ctx, `SELECT doc FROM quarantine WHERE project = $1 AND digest = $2`, p, d).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return q, nil
	}
	if err != nil {
		return q, sqldb.MapError("quarantine.get", err)
	}
	return q, undoc("quarantine", text, &q)
}

// Quarantine reads why a release is revoked; nil when it is not.
func (tx *Tx) Quarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.Quarantine, error) {
	q, err := tx.quarantined(ctx, p, d)
	if err != nil || q.Reason == "" {
		return nil, err
	}
	return &q.Quarantine, nil
}

// LiftedQuarantines lists the causes for which a release was revoked and for
// which that was lifted.
func (tx *Tx) LiftedQuarantines(ctx context.Context, p towpath.ProjectName, d towpath.Digest) ([]string, error) {
	q, err := tx.quarantined(ctx, p, d)
	return q.Lifted, err
}

// SetQuarantine revokes a release, or with nil lifts that.
func (tx *Tx) SetQuarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest, q *towpath.Quarantine) error {
	have, err := tx.quarantined(ctx, p, d)
	if err != nil {
		return err
	}
	lifted := have.Lifted
	if q == nil {
		q = &towpath.Quarantine{Release: d}
		if have.Cause != "" {
			lifted = append(lifted, have.Cause)
		}
	}
	text, err := doc(quarantined{*q, lifted})
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "quarantine.set", `INSERT INTO quarantine (project, digest, doc) VALUES ($1, $2, $3)
		ON CONFLICT (project, digest) DO UPDATE SET doc = excluded.doc`, p, d, text)
	return err
}

// Quarantines lists the releases of a project that are revoked, by digest, at
// most limit, those after one.
func (tx *Tx) Quarantines(ctx context.Context, p towpath.ProjectName, after towpath.Digest, limit int) ([]towpath.Quarantine, error) {
	var out []towpath.Quarantine
	for {
		page, err := list[towpath.Quarantine](ctx, tx, "quarantine", `SELECT doc FROM quarantine
			WHERE project = $1 AND digest > $2 ORDER BY digest LIMIT $3`, p, after, limit)
		if err != nil {
			return nil, err
		}
		for _, q := range page {
			after = q.Release
			if q.Reason != "" && len(out) < limit { // else it was lifted
				out = append(out, q)
			}
		}
		if len(page) < limit || len(out) == limit {
			return out, nil
		}
	}
}

// QuarantinedMaterials lists the materials with which no release of a project
// may be made: its own, and those of every project. Without a project it lists
// the latter.
func (tx *Tx) QuarantinedMaterials(ctx context.Context, p towpath.ProjectName) ([]towpath.MaterialQuarantine, error) {
	return list[towpath.MaterialQuarantine](ctx, tx, "material", `SELECT doc FROM (
		SELECT material, 0 AS own, doc FROM material_quarantined_everywhere
		UNION ALL SELECT material, 1 AS own, doc FROM quarantined_material WHERE project = $1) AS m ORDER BY material, own`, p)
}

// SaveQuarantinedMaterial adds a material, or gives it another reason.
func (tx *Tx) SaveQuarantinedMaterial(ctx context.Context, q towpath.MaterialQuarantine) error {
	text, err := doc(q)
	if err != nil {
		return err
	}
	if q.Project == "" {
		_, err = tx.exec(ctx, "material.save", `INSERT INTO material_quarantined_everywhere (material, doc) VALUES ($1, $2)
			ON CONFLICT (material) DO UPDATE SET doc = excluded.doc`, q.Material, text)
		return err
	}
	_, err = tx.exec(ctx, "material.save", `INSERT INTO quarantined_material (project, material, doc) VALUES ($1, $2, $3)
		ON CONFLICT (project, material) DO UPDATE SET doc = excluded.doc`, q.Project, q.Material, text)
	return err
}

// DeleteQuarantinedMaterial lets releases of a project be made with a material
// again; without one, what was said of every project is taken back.
func (tx *Tx) DeleteQuarantinedMaterial(ctx context.Context, p towpath.ProjectName, material string) error {
	query, args := `DELETE FROM quarantined_material WHERE project = $1 AND material = $2`, []any{p, material}
	if p == "" {
		query, args = `DELETE FROM material_quarantined_everywhere WHERE material = $1`, []any{material}
	}
	n, err := tx.exec(ctx, "material.delete", query, args...)
	if err == nil && n == 0 {
		return notFound("material", material)
	}
	return err
}
