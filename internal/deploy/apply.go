package deploy

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// apply moves a deployment by a trigger and does what comes with its new
// phase, all in the caller's transaction, which holds the environment's lock.
func (s *Service) apply(ctx context.Context, tx Tx, env *towpath.Environment, d *towpath.Deployment, trigger towpath.DeploymentTrigger, reason string, now time.Time) error {
	from := d.Phase
	to, err := towpath.DeploymentTransitions().Next("deployment", from, trigger)
	if err != nil {
		return err
	}
	d.Phase, d.Reason, d.Waiting, d.Asks, d.UpdatedAt = to, reason, "", false, now
	var facts json.RawMessage
	switch to {
	case towpath.DeploymentSwitching:
	case towpath.DeploymentRetiring:
		if d.Recovery != nil { // it is the rollback of what an alert blamed
			d.Recovery.Restored = now
			var said string
			said, facts = s.recovered(tx, d)
			d.Reason += said
		}
		err = s.switched(ctx, tx, env, d, now)
	case towpath.DeploymentSucceeded:
		err = s.end(ctx, tx, env, d, now)
	case towpath.DeploymentReverting:
		if err = s.keepExperiment(ctx, tx, d, now); err != nil {
			return err
		}
		d.Cause, d.Stale = reason, trigger == towpath.TriggerMoved
		if d.Experiment != nil && trigger == towpath.TriggerOver {
			d.Experiment.Ended = now
		}
		if err = s.hurt(ctx, tx, d, from, trigger, now); err == nil {
			err = s.withdraw(ctx, tx, d, now)
		}
	case towpath.DeploymentRolledBack, towpath.DeploymentFailed:
		if to == towpath.DeploymentRolledBack {
			var said string
			said, facts = s.recovered(tx, d)
			d.Reason += said
		}
		if d.Kind == towpath.DeploymentRepair { // of a release that is as good as before
			err = s.end(ctx, tx, env, d, now)
		} else if d.Stale && to == towpath.DeploymentRolledBack {
			err = s.end(ctx, tx, env, d, now)
		} else if err = s.doubt(ctx, tx, env, d, reason, now); err == nil {
			err = s.end(ctx, tx, env, d, now)
		}
	case towpath.DeploymentConcluded:
		err = s.end(ctx, tx, env, d, now)
	case towpath.DeploymentPreempted:
		if err = s.withdraw(ctx, tx, d, now); err != nil {
			return err
		}
		if err = s.keepExperiment(ctx, tx, d, now); err != nil {
			return err
		}
		if d.Kind == towpath.DeploymentPromotion && env.Deployment != d.ID {
			if err = s.doubtRun(ctx, tx, d, reason, now); err != nil {
				return err
			}
		}
		err = s.end(ctx, tx, env, d, now)
	}
	if err != nil {
		return err
	}
	d.Unread = time.Time{}
	if err := tx.SaveDeployment(ctx, *d); err != nil {
		return err
	}
	ev := s.event(d, "deployment."+string(to), now)
	ev.Reason, ev.Data = d.Reason, facts
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	if !towpath.DeploymentTransitions().Terminal(to) {
		return tx.Enqueue(ctx, WorkDeployment, string(d.ID), now)
	}
	return nil
}

// switched makes the release what the environment runs: all of its traffic is
// on it and verified. Rules in force become those that the candidate brings,
// unless it is a rollback, which never loosens anything.
func (s *Service) switched(ctx context.Context, tx Tx, env *towpath.Environment, d *towpath.Deployment, now time.Time) error {
	if err := s.endRun(ctx, tx, env, d, now); err != nil {
		return err
	}
	env.Candidate, env.Release, env.Version, env.Commit = d.Candidate, d.Release, d.Version, d.Commit
	env.Since, env.Deployment = now, d.ID
	move := towpath.RefMove{
		Deployment: d.ID, Project: d.Project, Environment: d.Environment, Commit: d.Commit,
		State: towpath.RefPending, At: now,
	}
	if d.Kind == towpath.DeploymentPromotion {
		if d.Rules != nil {
			env.Rules, env.PolicyVersion = *d.Rules, gate.PolicyVersion(*d.Rules)
		}
		move.Branch = env.Rules.Branch
	}
	run := towpath.Run{
		Project: d.Project, Environment: d.Environment, Candidate: d.Candidate, Release: d.Release,
		Version: d.Version, Commit: d.Commit, Deployment: d.ID, Began: now, Verified: true,
		Unseen: unseen(d),
	}
	if err := tx.SaveRun(ctx, run); err != nil {
		return err
	}
	if err := tx.SaveEnvironment(ctx, *env); err != nil {
		return err
	}
	env.Rev++
	if err := tx.InsertRefMove(ctx, move); err != nil {
		return err
	}
	if err := tx.WakeReplications(ctx, d.Project, now); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkRef, environmentKey(d.Project, d.Environment), now)
}

// endRun closes the stay of what ran before. Going back from a release is
// what takes its verification back.
func (s *Service) endRun(ctx context.Context, tx Tx, env *towpath.Environment, d *towpath.Deployment, now time.Time) error {
	run, ok, err := standing(ctx, tx, *env)
	if err != nil || !ok {
		return err
	}
	run.Ended = now
	if d.Kind == towpath.DeploymentRollback && run.Release != d.Release {
		run.Verified, run.Doubt = false, "rolled back from: "+d.Cause
	}
	return tx.SaveRun(ctx, run)
}

// standing is the stay of what an environment runs. Later ones may be of what
// never got through.
func standing(ctx context.Context, tx Tx, env towpath.Environment) (run towpath.Run, ok bool, err error) {
	if env.Deployment == "" {
		return run, false, nil
	}
	runs, err := tx.Runs(ctx, env.Project, env.Name, keepRuns)
	i := slices.IndexFunc(runs, func(r towpath.Run) bool { return r.Deployment == env.Deployment && r.Ended.IsZero() })
	if err != nil || i < 0 {
		return run, false, err
	}
	return runs[i], true, nil
}

// doubt records that a candidate failed in an environment and holds it.
func (s *Service) doubt(ctx context.Context, tx Tx, env *towpath.Environment, d *towpath.Deployment, reason string, now time.Time) error {
	if err := s.doubtRun(ctx, tx, d, d.Cause, now); err != nil {
		return err
	}
	why := "rolled back from " + d.Version + ": " + d.Cause
	if d.Phase == towpath.DeploymentFailed {
		why = "a deployment of " + d.Version + " failed and could not be undone: " + reason
	}
	env.Hold = &towpath.Hold{Reason: why, By: string(towpath.System().Account), At: now}
	ev := s.event(d, "environment.held", now)
	ev.Subject, ev.Reason = string(d.Environment), why
	return tx.Record(ctx, ev)
}

// doubtRun keeps the stay of a candidate that never got through as one that
// speaks against it.
func (s *Service) doubtRun(ctx context.Context, tx Tx, d *towpath.Deployment, doubt string, now time.Time) error {
	return tx.SaveRun(ctx, towpath.Run{
		Project: d.Project, Environment: d.Environment, Candidate: d.Candidate, Release: d.Release,
		Version: d.Version, Commit: d.Commit, Deployment: d.ID, Began: d.CreatedAt, Ended: now, Doubt: doubt,
	})
}

// end takes the deployment off the environment and wakes who waits for that.
func (s *Service) end(ctx context.Context, tx Tx, env *towpath.Environment, d *towpath.Deployment, now time.Time) error {
	d.FinishedAt = now
	if env.Active == d.ID {
		env.Active = ""
	}
	if err := tx.SaveEnvironment(ctx, *env); err != nil {
		return err
	}
	env.Rev++
	if d.Kind == towpath.DeploymentRepair {
		if err := s.repairEnded(ctx, tx, d, now); err != nil {
			return err
		}
	} else if d.Phase == towpath.DeploymentSucceeded || d.Phase == towpath.DeploymentRolledBack || d.Phase == towpath.DeploymentConcluded {
		if err := s.settle(ctx, tx, d); err != nil {
			return err
		}
	}
	if err := tx.Enqueue(ctx, WorkDrift, environmentKey(d.Project, d.Environment), now); err != nil {
		return err
	}
	if d.Promotion != "" {
		if err := tx.Enqueue(ctx, WorkPromotion, string(d.Promotion), now); err != nil {
			return err
		}
	}
	return s.wakeUpstream(ctx, tx, d.Project, d.Environment, now)
}

// wakeUpstream has an environment looked at, and those that take from it.
func (s *Service) wakeUpstream(ctx context.Context, tx Tx, p towpath.ProjectName, name towpath.EnvironmentName, now time.Time) error {
	all, err := tx.Environments(ctx, p)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Name != name && e.Rules.From != name {
			continue
		}
		if err := tx.Enqueue(ctx, WorkEnvironment, environmentKey(e.Project, e.Name), now); err != nil {
			return err
		}
	}
	return nil
}

// settle says of each target that a deployment touched that it is known again
// what runs there, and what was seen there before counts for nothing. One that
// went back takes back its own doubt, and no other's.
func (s *Service) settle(ctx context.Context, tx Tx, d *towpath.Deployment) error {
	running, err := tx.Running(ctx, d.Project, d.Environment)
	if err != nil {
		return err
	}
	var doubtful []towpath.ComponentName
	if d.Phase != towpath.DeploymentSucceeded {
		doubtful = rollout.InDoubt(d)
	}
	for _, r := range running {
		if !r.Unsure || slices.Contains(doubtful, r.Component) {
			continue
		}
		r.Unsure = false
		target := s.target(d, r)
		if err := tx.SaveRunning(ctx, target, r); err != nil {
			return err
		}
		if err := seeAfresh(ctx, tx, Placed{Target: target, Running: r}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) event(d *towpath.Deployment, action string, now time.Time) towpath.Event {
	ev := towpath.NewEvent(now, string(d.By), action)
	ev.Project, ev.Environment, ev.Subject, ev.Release = d.Project, d.Environment, string(d.ID), d.Release
	return ev
}
