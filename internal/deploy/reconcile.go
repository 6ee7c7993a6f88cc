package deploy

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// recheck is how often a deployment is looked at although nothing woke it.
const recheck = 15 * time.Second

// Kind is the kind of work of the loop.
func (s *Service) Kind() string { return WorkDeployment }

// Reconcile takes a deployment one step further: load it, decide, apply one
// transition with its event in one transaction, say when to come back. It may
// be stopped anywhere and run again.
func (s *Service) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	id := towpath.DeploymentID(key)
	after := reconcile.Done()
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		peek, err := tx.Deployment(ctx, id)
		if err != nil {
			return err
		}
		env, err := tx.LockEnvironment(ctx, peek.Project, peek.Environment)
		if err != nil {
			return err
		}
		d, err := tx.LockDeployment(ctx, id)
		if err != nil || towpath.DeploymentTransitions().Terminal(d.Phase) {
			return err
		}
		decision := rollout.Next(&d)
		after = reconcile.After(recheck)
		if decision.Trigger != "" {
			after = reconcile.After(0)
			return s.apply(ctx, tx, &env, &d, decision.Trigger, decision.Reason, now)
		}
		return s.issue(ctx, tx, &d, env, decision.Issue, now)
	})
	failpoint.Hit("deployment.stepped")
	return after, err
}
