package deploy

import (
	"context"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Get reads a deployment with its steps.
func (s *Service) Get(ctx context.Context, actor towpath.Actor, id towpath.DeploymentID) (towpath.Deployment, error) {
	var d towpath.Deployment
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if d, err = tx.Deployment(ctx, id); err != nil {
			return err
		}
		if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: d.Project, Environment: d.Environment}); err != nil {
			return err
		}
		return s.addAway(ctx, tx, &d)
	})
	if err != nil {
		return towpath.Deployment{}, err
	}
	return d, nil
}

// addAway has a deployment say which agents it waits for in vain.
func (s *Service) addAway(ctx context.Context, tx Tx, d *towpath.Deployment) (err error) {
	if !towpath.DeploymentTransitions().Terminal(d.Phase) {
		d.Away, err = tx.AgentsAway(ctx, d.ID, s.cfg.Now().Add(-towpath.AgentSilence))
	}
	return err
}

// List reads a page of deployments, newest first.
func (s *Service) List(ctx context.Context, actor towpath.Actor, f Filter) (List, error) {
	if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: f.Project, Environment: f.Environment}); err != nil {
		return List{}, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	out := List{Items: []towpath.Deployment{}}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		items, err := tx.Deployments(ctx, f, limit+1)
		if err != nil {
			return err
		}
		out = List{Items: items}
		if len(items) > limit {
			out.Items, out.Next = items[:limit], string(items[limit-1].ID)
		}
		for i := range out.Items {
			if err := s.addAway(ctx, tx, &out.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Resolve decides an operation of which nobody can tell whether it took
// effect: run it again (again), or give it up, which fails
// its step.
func (s *Service) Resolve(ctx context.Context, actor towpath.Actor, id towpath.OperationID, again bool, reason string) error {
	now := s.cfg.Now()
	ev := towpath.NewEvent(now, string(actor.Account), "operation.resolved")
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		op, err := tx.LockOperation(ctx, id)
		if err != nil {
			return err
		}
		subject := access.Subject{Project: op.Target.Project, Environment: op.Target.Environment}
		if err := access.Check(actor, access.Rollback, subject); err != nil {
			return err
		}
		if op.Phase != towpath.OperationUnknown {
			return towpath.E(towpath.KindConflict, "operation.resolve", "operation %s is %s: there is nothing to decide", id, op.Phase)
		}
		trigger := towpath.TriggerAccept
		if again {
			trigger, op.ResolvedAt = towpath.TriggerRetry, now
		}
		if op.Phase, err = towpath.OperationTransitions().Next("operation", op.Phase, trigger); err != nil {
			return err
		}
		op.RunAfter = now
		if err := tx.SaveOperation(ctx, op); err != nil {
			return err
		}
		s.wake(ctx, tx, op.Target.Place)
		ev := ev
		ev.Project, ev.Environment, ev.Subject = op.Target.Project, op.Target.Environment, string(id)
		ev.Reason, ev.RequestID = reason, actor.RequestID
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		return tx.Enqueue(ctx, WorkDeployment, string(op.Deployment), now)
	})
}
