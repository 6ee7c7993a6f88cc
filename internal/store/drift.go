package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// Placed lists what was deployed to a place, with what is known of its drift.
func (tx *Tx) Placed(ctx context.Context, place towpath.PlaceName) ([]deploy.Placed, error) {
	rows, err := tx.Query(ctx, `SELECT t.project, t.environment, t.doc, d.doc FROM target t LEFT JOIN drift d ON d.key = t.key
		WHERE t.place = $1 AND t.doc <> '{}' ORDER BY t.key`, place)
	if err != nil {
		return nil, sqldb.MapError("target.list", err)
	}
	defer rows.Close()
	var out []deploy.Placed
	for rows.Next() {
		var p towpath.ProjectName
		var e towpath.EnvironmentName
		var running string
		var drift sql.NullString
		if err := rows.Scan(&p, &e, &running, &drift); err != nil {
			return nil, sqldb.MapError("target.list", err)
		}
		var r rollout.Running
		if err := undoc("target", running, &r); err != nil {
			return nil, err
		}
		x := deploy.Placed{
			Target:  towpath.Target{Project: p, Environment: e, Component: r.Component, Place: place, Slot: towpath.SlotMain},
			Running: r,
		}
		if drift.Valid {
			if err := undoc("drift", drift.String, &x.Drift); err != nil {
				return nil, err
			}
		}
		out = append(out, x)
	}
	return out, sqldb.MapError("target.list", rows.Err())
}

// LockDrift reads the drift of a target, for writing; none is an empty one.
func (tx *Tx) LockDrift(ctx context.Context, t towpath.Target) (d towpath.Drift, err error) {
	var text string
	err = tx.QueryRow(ctx, `SELECT doc FROM drift WHERE key = $1`+tx.lock(), t.Key()).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return towpath.Drift{Target: t, State: towpath.DriftNone}, nil
	}
	if err != nil {
		return d, sqldb.MapError("drift.lock", err)
	}
	return d, undoc("drift", text, &d)
}

// Drifts lists the drift of an environment's targets, or with an empty name
// that of all of a project's.
func (tx *Tx) Drifts(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.Drift, error) {
	if e == "" {
		return list[towpath.Drift](ctx, tx, "drift", `SELECT doc FROM drift WHERE project = $1 ORDER BY key`, p)
	}
	return list[towpath.Drift](ctx, tx, "drift", `SELECT doc FROM drift WHERE project = $1 AND environment = $2 ORDER BY key`, p, e)
}

// SaveDrift writes the drift of a target that was locked in this transaction.
// One that says nothing is removed.
func (tx *Tx) SaveDrift(ctx context.Context, d towpath.Drift) error {
	if d.State == towpath.DriftNone && !d.Told && len(d.Repairs) == 0 {
		_, err := tx.exec(ctx, "drift.remove", `DELETE FROM drift WHERE key = $1`, d.Target.Key())
		return err
	}
	text, err := doc(d)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "drift.save", `INSERT INTO drift (key, project, environment, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE SET doc = excluded.doc`, d.Target.Key(), d.Target.Project, d.Target.Environment, text)
	return err
}
