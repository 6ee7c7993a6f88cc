package deploy

import (
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

// abortQuarantined has a deployment go back, as one that a person aborts does,
// when what it brings was quarantined on its way. The caller holds the
// environment, as does who quarantines. A rollback goes on: it began when its
// release was good, and what it leaves is worse. So does a repair, which brings
// nothing that does not run.
func abortQuarantined(ctx context.Context, tx Tx, d *towpath.Deployment) error {
	forward := d.Phase == towpath.DeploymentPreparing || d.Phase == towpath.DeploymentSwitching
	if d.Kind != towpath.DeploymentPromotion || !forward || d.Abort != "" {
		return nil
	}
	q, err := tx.Quarantine(ctx, d.Project, d.Release)
	if err != nil || q == nil {
		return err
	}
	d.Abort = d.Version + " is quarantined: " + q.Reason
	return nil
}
