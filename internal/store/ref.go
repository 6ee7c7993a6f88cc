package store

import (
	"context"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// InsertRefMove journals a move of an environment's refs before it is made;
// older ones that have not been made are superseded.
func (tx *Tx) InsertRefMove(ctx context.Context, m towpath.RefMove) error {
	if _, err := tx.exec(ctx, "ref.supersede", `UPDATE ref_move SET state = 'superseded'
		WHERE project = $1 AND environment = $2 AND state = 'pending'`, m.Project, m.Environment); err != nil {
		return err
	}
	text, err := doc(m)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "ref.insert", `INSERT INTO ref_move (deployment, project, environment, created, state, doc)
		VALUES ($1, $2, $3, $4, $5, $6)`, m.Deployment, m.Project, m.Environment, sqldb.Micros(m.At), m.State, text)
	return err
}

// RefMove reads the newest journalled move of an environment; ok is false when
// there is none.
func (tx *Tx) RefMove(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (m towpath.RefMove, ok bool, err error) {
	all, err := list[towpath.RefMove](ctx, tx, "ref move", `SELECT doc FROM ref_move WHERE project = $1 AND environment = $2
		ORDER BY created DESC, deployment DESC LIMIT 1`, p, e)
	if err != nil || len(all) == 0 {
		return m, false, err
	}
	return all[0], true, nil
}

// SaveRefMove writes a move, unless a newer one has superseded it.
func (tx *Tx) SaveRefMove(ctx context.Context, m towpath.RefMove) error {
	text, err := doc(m)
	if err != nil {
		return err
	}
	n, err := tx.exec(ctx, "ref.save", `UPDATE ref_move SET state = $1, doc = $2 WHERE deployment = $3 AND state = 'pending'`,
		m.State, text, m.Deployment)
	if err == nil && n == 0 {
		return moved("ref move", string(m.Deployment))
	}
	return err
}
