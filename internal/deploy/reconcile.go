package deploy

import (
	"context"
	"errors"
	"slices"
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
	said, project, err := s.judgeBefore(ctx, id, now)
	if err != nil {
		return after, err
	}
	var issues []rollout.Issue
	err = s.withContents(ctx, s.store.Update, project, func(ctx context.Context, tx Tx, c *contents) error {
		env, d, err := locked(ctx, tx, id)
		if err != nil || towpath.DeploymentTransitions().Terminal(d.Phase) {
			return err
		}
		if err := abortQuarantined(ctx, tx, &d); err != nil {
			return err
		}
		seen, err := s.look(ctx, tx, &d, said, now)
		if err != nil {
			return err
		}
		decision := rollout.Next(&d, seen)
		after = reconcile.After(recheck)
		if !decision.Again.IsZero() {
			after = reconcile.After(min(recheck, decision.Again.Sub(now)))
		}
		if decision.Trigger != "" {
			after = reconcile.After(0)
			d.Unread = time.Time{}
			return s.apply(ctx, tx, &env, &d, decision.Trigger, decision.Reason, now)
		}
		if len(decision.Over) > 0 {
			endWatch(&d, decision.Over, now)
			after = reconcile.After(0)
		}
		issues = decision.Issue
		if err := s.issue(ctx, tx, c, &d, env, issues, now); err != nil {
			return err
		}
		if len(measured(&d)) > 0 {
			if err := tx.Enqueue(ctx, WorkMeasurement, key, now); err != nil {
				return err
			}
		}
		return s.wait(ctx, tx, &d, decision, seen, time.Time{}, now)
	})
	failpoint.Hit("deployment.stepped")
	back, err := s.noted(ctx, id, issues, err, now)
	if back {
		after = reconcile.After(0)
	}
	return after, err
}

// locked reads a deployment and its environment, both locked.
func locked(ctx context.Context, tx Tx, id towpath.DeploymentID) (env towpath.Environment, d towpath.Deployment, err error) {
	peek, err := tx.Deployment(ctx, id)
	if err != nil {
		return env, d, err
	}
	if env, err = tx.LockEnvironment(ctx, peek.Project, peek.Environment); err != nil {
		return env, d, err
	}
	d, err = tx.LockDeployment(ctx, id)
	return env, d, err
}

// noted says of a deployment that a release can't be read which it needs to issue
// operations, and returns the error; what is lost asks for a person. When that lasts
// the deployment goes back, which is no error any more.
func (s *Service) noted(ctx context.Context, id towpath.DeploymentID, issues []rollout.Issue, failed error, now time.Time) (back bool, err error) {
	what, known := (*noContent)(nil), (*towpath.Error)(nil)
	if !errors.As(failed, &what) || !errors.As(failed, &known) {
		return false, failed
	}
	message, hint := towpath.PublicMessage(failed)
	if hint != "" {
		message += "; " + hint
	}
	why := "release " + towpath.Short(what.release) + " can't be read: " + message
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, d, err := locked(ctx, tx, id)
		if err != nil || towpath.DeploymentTransitions().Terminal(d.Phase) {
			return err
		}
		since := d.Unread
		if since.IsZero() {
			since = now
		}
		dec := rollout.Unread(&d, issues, why, since, now)
		if back = dec.Trigger != ""; back {
			return s.apply(ctx, tx, &env, &d, dec.Trigger, dec.Reason, now)
		}
		dec.Asks = known.Kind == towpath.KindNotFound
		return s.wait(ctx, tx, &d, dec, rollout.Seen{}, since, now)
	})
	if back && err == nil {
		return true, nil
	}
	return false, errors.Join(failed, err)
}

// look gathers what is known of a deployment besides what it has done.
func (s *Service) look(ctx context.Context, tx Tx, d *towpath.Deployment, said verdicts, now time.Time) (rollout.Seen, error) {
	s.up.CompareAndSwap(0, now.UnixMicro())
	seen := rollout.Seen{Now: now, Up: time.UnixMicro(s.up.Load())}
	for _, r := range rollout.Moving(d) {
		j, err := said.of(ctx, tx, d, r, now)
		if err != nil {
			return seen, err
		}
		if j == nil {
			continue
		}
		if seen.Judgements == nil {
			seen.Judgements = map[towpath.ComponentName]*towpath.Judgement{}
		}
		r.Canary.Judgement, seen.Judgements[r.Component] = j, j
	}
	return seen, nil
}

// wait keeps what a deployment waits for, since when its release can't be read, and
// how it is judged, for people.
func (s *Service) wait(ctx context.Context, tx Tx, d *towpath.Deployment, dec rollout.Decision, seen rollout.Seen, unread, now time.Time) error {
	if dec.Waiting == d.Waiting && dec.Asks == d.Asks && unread.Equal(d.Unread) && len(seen.Judgements) == 0 && len(dec.Over) == 0 {
		return nil
	}
	if dec.Asks && !d.Asks { // once each time; a pause has an event of its own
		ev := s.event(d, "deployment.asks", now)
		ev.Actor, ev.Reason = string(towpath.System().Account), dec.Waiting
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
	}
	d.Waiting, d.Asks, d.Unread, d.UpdatedAt = dec.Waiting, dec.Asks, unread, now
	return tx.SaveDeployment(ctx, *d)
}

// endWatch keeps that the time of components after their switch is over. What is
// said of them later changes nothing: others may move because they have.
func endWatch(d *towpath.Deployment, over []towpath.ComponentName, now time.Time) {
	for i := range d.Components {
		if r := &d.Components[i]; slices.Contains(over, r.Component) {
			r.Canary.Over = now
		}
	}
}
