package inventory

import (
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

// keepRuns is how many stays in an environment an offer looks back over, as
// many as a rollback does.
const keepRuns = 200

// flag says that what an environment runs is quarantined, or what a rollback
// brings that had begun before, and what to go back to instead.
func flag(ctx context.Context, tx Tx, env towpath.Environment, st *Status) (err error) {
	if env.Release != "" {
		if st.Quarantine, err = tx.Quarantine(ctx, env.Project, env.Release); err != nil {
			return err
		}
		st.Quarantined = st.Quarantine != nil
	}
	d := st.Deployment
	if d != nil && d.Kind == towpath.DeploymentRollback {
		coming, err := tx.Quarantine(ctx, env.Project, d.Release)
		if err != nil || coming == nil { // it goes to a good one: there is nothing to offer
			return err
		}
		if !st.Quarantined {
			st.Quarantine = coming
		}
	}
	if st.Quarantine == nil {
		return nil
	}
	runs, err := tx.Runs(ctx, env.Project, env.Name, keepRuns)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if !r.Verified || r.Release == env.Release || d != nil && r.Release == d.Release {
			continue
		}
		q, err := tx.Quarantine(ctx, env.Project, r.Release)
		if err != nil {
			return err
		}
		gone, err := tx.Collected(ctx, env.Project, r.Release)
		if err != nil {
			return err
		}
		if q == nil && !gone {
			st.Rollback = &RollbackOffer{Release: r.Release, Version: r.Version}
			return nil
		}
	}
	return nil
}
