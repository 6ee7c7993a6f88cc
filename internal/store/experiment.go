package store

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// SaveExperiment keeps what a deployment's experiment has seen; what was kept of
// it stays.
func (tx *Tx) SaveExperiment(ctx context.Context, d towpath.Deployment, e experiment.Evidence, at time.Time) error {
	text, err := doc(e)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "experiment.save", `INSERT INTO experiment (deployment, project, environment, at, doc)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, d.ID, d.Project, d.Environment, sqldb.Micros(at), text)
	return err
}

// Experiment reads what was kept of a deployment's experiment; false when
// nothing was yet.
func (tx *Tx) Experiment(ctx context.Context, id towpath.DeploymentID) (experiment.Evidence, bool, error) {
	found, err := list[experiment.Evidence](ctx, tx, "experiment", `SELECT doc FROM experiment WHERE deployment = $1`, id)
	if err != nil || len(found) == 0 {
		return experiment.Evidence{}, false, err
	}
	return found[0], true, nil
}

// ForgetExperiments gives up what was kept of all but the newest experiments of
// an environment.
func (tx *Tx) ForgetExperiments(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, keep int) error {
	_, err := tx.exec(ctx, "experiment.forget", `DELETE FROM experiment WHERE project = $1 AND environment = $2 AND deployment NOT IN (
		SELECT deployment FROM experiment WHERE project = $1 AND environment = $2 ORDER BY deployment DESC LIMIT $3)`, p, e, keep)
	return err
}

// Experiments lists the deployments whose experiments were kept, newest first.
func (tx *Tx) Experiments(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, limit int) ([]towpath.DeploymentID, error) {
	rows, err := tx.Query(ctx, `SELECT deployment FROM experiment WHERE project = $1 AND environment = $2 ORDER BY deployment DESC LIMIT $3`, p, e, limit)
	if err != nil {
		return nil, sqldb.MapError("experiment.list", err)
	}
	defer func() { _ = rows.Close() }()
	var out []towpath.DeploymentID
	for rows.Next() {
		var id towpath.DeploymentID
		if err := rows.Scan(&id); err != nil {
			return nil, sqldb.MapError("experiment.list", err)
		}
		out = append(out, id)
	}
	return out, sqldb.MapError("experiment.list", rows.Err())
}
