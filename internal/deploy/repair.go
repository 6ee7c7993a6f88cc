package deploy

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/drift"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// RepairRequest asks for what differs in an environment to be replaced.
type RepairRequest struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	Component   towpath.ComponentName // empty: every one that has drifted
	Reason      string
	Force       bool // also what has not drifted
}

// Repair replaces components of an environment by the same revisions again, for
// a person: whatever the components' policies, and whatever is frozen. It brings
// nothing new, so it needs no approval; it never goes beside a deployment.
func (s *Service) Repair(ctx context.Context, actor towpath.Actor, r RepairRequest) (towpath.Deployment, error) {
	if err := access.Check(actor, access.Repair, access.Subject{Project: r.Project, Environment: r.Environment}); err != nil {
		return towpath.Deployment{}, err
	}
	now := s.cfg.Now()
	id := towpath.NewID[towpath.DeploymentID]("dep", now)
	var out towpath.Deployment
	err := s.withContents(ctx, s.store.Update, r.Project, func(ctx context.Context, tx Tx, c *contents) error {
		env, err := tx.LockEnvironment(ctx, r.Project, r.Environment)
		if err != nil {
			return err
		}
		components, err := s.toRepair(ctx, tx, env, r)
		if err != nil {
			return err
		}
		reason := "repair of " + listed(components)
		if r.Reason != "" {
			reason += ": " + r.Reason
		}
		out, err = s.beginRepair(ctx, tx, c, actor, &env, components, id, reason, now)
		return err
	})
	failpoint.Hit("repair.requested")
	return out, err
}

// toRepair chooses the components that a person asked for.
func (s *Service) toRepair(ctx context.Context, tx Tx, env towpath.Environment, r RepairRequest) ([]towpath.ComponentName, error) {
	const op = "environment.repair"
	switch {
	case env.Release == "":
		return nil, towpath.E(towpath.KindConflict, op, "%s runs nothing yet", env.Name).WithHint("promote a release into it")
	case env.Active != "":
		return nil, towpath.E(towpath.KindConflict, op, "a deployment is active in %s: %s", env.Name, env.Active).
			WithHint("wait for it, or roll back: a repair never goes beside one")
	}
	running, err := tx.Running(ctx, env.Project, env.Name)
	if err != nil {
		return nil, err
	}
	drifts, err := tx.Drifts(ctx, env.Project, env.Name)
	if err != nil {
		return nil, err
	}
	var out []towpath.ComponentName
	known, seen := false, false
	var helpless []towpath.Difference // that replacing what runs does not help against
	for _, x := range running {
		if x.Revision == "" || r.Component != "" && x.Component != r.Component {
			continue
		}
		known = true
		if x.Unsure {
			return nil, towpath.E(towpath.KindConflict, op, "a deployment left %s in doubt: nobody can tell what is to run there", x.Component).
				WithHint("`towpath rollback %s` or a promotion brings it into order", env.Name)
		}
		d := driftOf(drifts, x)
		seen = seen || d.State == towpath.DriftSuspected
		drifted := d.State.Standing()
		if drifted && !drift.Repairable(d.Differences) {
			helpless = d.Differences
		}
		if r.Force || drifted && drift.Repairable(d.Differences) {
			out = append(out, x.Component)
		}
	}
	switch {
	case !known && r.Component != "":
		return nil, towpath.E(towpath.KindNotFound, op, "%s runs no component %q", env.Name, r.Component).WithHint("`towpath status %s` lists them", env.Name)
	case len(out) > 0:
		return out, nil
	case unread(helpless):
		return nil, towpath.E(towpath.KindConflict, op, "nothing is known to differ, and what could not be looked at is not repaired: %s", sentences(helpless)).
			WithHint("see to it on its host that the agent can read its own folder; --force puts the files in place anew all the same")
	case len(helpless) > 0:
		return nil, towpath.E(towpath.KindConflict, op, "replacing what runs does not give an address back that somebody else has taken").
			WithHint("end whoever listens there: the router takes it as soon as it is free; --force repairs all the same")
	case seen:
		return nil, towpath.E(towpath.KindConflict, op, "a difference was seen once, and counts when it is seen again").
			WithHint("ask again in a few seconds, or use --force")
	}
	return nil, towpath.E(towpath.KindConflict, op, "there is nothing to repair: everything runs as it was deployed").
		WithHint("--force replaces what runs all the same")
}

func unread(all []towpath.Difference) bool {
	return len(all) > 0 && towpath.Drift{State: towpath.DriftFound, Differences: all}.Unknown()
}

func driftOf(all []towpath.Drift, r rollout.Running) towpath.Drift {
	i := slices.IndexFunc(all, func(d towpath.Drift) bool { return d.Target.Component == r.Component && d.Revision == r.Revision })
	if i < 0 {
		return towpath.Drift{State: towpath.DriftNone}
	}
	return all[i]
}

func listed(components []towpath.ComponentName) string {
	names := make([]string, len(components))
	for i, c := range components {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

// beginRepair writes a repair down: the deployment, its authorisation, and in
// the drift of each component that it was begun.
func (s *Service) beginRepair(ctx context.Context, tx Tx, c *contents, actor towpath.Actor, env *towpath.Environment, components []towpath.ComponentName, id towpath.DeploymentID, reason string, now time.Time) (towpath.Deployment, error) {
	const op = "environment.repair"
	content, err := c.of(env.Release)
	if err != nil {
		return towpath.Deployment{}, err
	}
	rendered, _ := content.Environment(env.Name)
	running, err := tx.Running(ctx, env.Project, env.Name)
	if err != nil {
		return towpath.Deployment{}, err
	}
	d := towpath.Deployment{
		ID: id, Project: env.Project, Environment: env.Name, Kind: towpath.DeploymentRepair,
		Candidate: env.Candidate, Release: env.Release, Version: env.Version, Commit: env.Commit,
		Previous: env.Release, PreviousVersion: env.Version, Phase: towpath.DeploymentPreparing, Cause: reason,
		Components: rollout.Repair(content, rendered, running, components), By: actor.Account, CreatedAt: now, UpdatedAt: now,
	}
	if len(d.Components) != len(components) {
		return d, towpath.E(towpath.KindConflict, op, "what is recorded to run in %s is not what its release %s holds", env.Name, env.Version).
			WithHint("`towpath rollback %s` or a promotion brings it into order", env.Name)
	}
	d.Authorisation, err = s.signer.Authorise(towpath.Authorisation{
		Deployment: d.ID, Kind: d.Kind, Project: d.Project, Environment: d.Environment,
		Candidate: d.Candidate, Release: d.Release, PolicyVersion: env.PolicyVersion, At: now,
	})
	if err != nil {
		return d, err
	}
	for _, r := range d.Components {
		now0, _ := find(running, r.Component)
		target := s.target(&d, now0)
		was, err := tx.LockDrift(ctx, target)
		if err != nil {
			return d, err
		}
		was = of(was, Placed{Target: target, Running: now0})
		begun := drift.Begun(was, towpath.RepairAttempt{Deployment: d.ID, By: actor.Account, Began: now}, actor.Account != towpath.System().Account)
		if err := tx.SaveDrift(ctx, begun); err != nil {
			return d, err
		}
	}
	env.Active = d.ID
	if err := tx.SaveEnvironment(ctx, *env); err != nil {
		return d, err
	}
	env.Rev++
	if err := tx.InsertDeployment(ctx, d); err != nil {
		return d, err
	}
	ev := s.event(&d, "repair.requested", now)
	ev.Reason, ev.RequestID = reason, actor.RequestID
	if err := tx.Record(ctx, ev); err != nil {
		return d, err
	}
	return d, tx.Enqueue(ctx, WorkDeployment, string(d.ID), now)
}

// repairEnded does what comes with the end of a repair, whichever it is: what
// runs there is certain again, unless a rollback took over, and its drift knows.
func (s *Service) repairEnded(ctx context.Context, tx Tx, d *towpath.Deployment, now time.Time) error {
	running, err := tx.Running(ctx, d.Project, d.Environment)
	if err != nil {
		return err
	}
	failed := ""
	if d.Phase != towpath.DeploymentSucceeded {
		failed = orElse(d.Cause, d.Reason)
	}
	if d.Phase == towpath.DeploymentPreempted {
		failed = d.Reason
	}
	for _, c := range d.Components {
		r, known := find(running, c.Component)
		if !known {
			continue
		}
		target := s.target(d, r)
		if r.Unsure && d.Phase != towpath.DeploymentPreempted {
			r.Unsure = false
			if err := tx.SaveRunning(ctx, target, r); err != nil {
				return err
			}
		}
		was, err := tx.LockDrift(ctx, target)
		if err != nil {
			return err
		}
		if err := tx.SaveDrift(ctx, drift.Ended(was, d.ID, failed, now, s.limits(ctx, d.Project, d.Release, c.Component))); err != nil {
			return err
		}
	}
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Repairs is the loop that repairs by itself what has drifted, where the policy
// of a component says so.
type Repairs struct{ *Service }

// Kind is the kind of work of the loop.
func (r Repairs) Kind() string { return WorkDrift }

// Reconcile decides about the drift of one environment: one repair at a time,
// and only while nothing else is deployed there.
func (r Repairs) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	project, name, _ := strings.Cut(key, "/")
	id := towpath.NewID[towpath.DeploymentID]("dep", now)
	after := reconcile.Done()
	err := r.withContents(ctx, r.store.Update, towpath.ProjectName(project), func(ctx context.Context, tx Tx, c *contents) error {
		after = reconcile.Done()
		env, err := tx.LockEnvironment(ctx, towpath.ProjectName(project), towpath.EnvironmentName(name))
		if err != nil || env.Release == "" {
			return err
		}
		running, err := tx.Running(ctx, env.Project, env.Name)
		if err != nil {
			return err
		}
		all, err := tx.Drifts(ctx, env.Project, env.Name)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(d towpath.Drift) bool {
			r, _ := find(running, d.Target.Component)
			return !d.State.Standing() || d.Revision != r.Revision // what was seen of another revision says nothing about this one
		})
		if len(all) == 0 {
			return nil
		}
		content, err := c.of(env.Release)
		if err != nil {
			return err
		}
		busy, until, err := r.busy(ctx, tx, env, now)
		if err != nil {
			return err
		}
		var again time.Time
		for _, d := range all {
			dec, err := r.decide(ctx, tx, c, &env, d, content, drift.Situation{Busy: busy, Until: until}, id, now)
			if err != nil {
				return err
			}
			if dec.Repair {
				busy = "another component is being repaired"
			}
			if !dec.Again.IsZero() && (again.IsZero() || dec.Again.Before(again)) {
				again = dec.Again
			}
		}
		if !again.IsZero() {
			after = reconcile.After(max(again.Sub(now), 0))
		}
		return nil
	})
	failpoint.Hit("drift.decided")
	return after, err
}

// busy says what keeps repairs from being begun by themselves.
func (r Repairs) busy(ctx context.Context, tx Tx, env towpath.Environment, now time.Time) (why string, until time.Time, err error) {
	if env.Active != "" {
		return "a deployment is active, and it is decided again when that ends", time.Time{}, nil
	}
	freezes, err := tx.Freezes(ctx, env.Project)
	for _, f := range freezes {
		if (f.Environment != "" && f.Environment != env.Name) || now.Before(f.From) || !f.Until.IsZero() && !now.Before(f.Until) {
			continue
		}
		until = now.Add(driftRecheck)
		if !f.Until.IsZero() && f.Until.Before(until) {
			until = f.Until
		}
		return fmt.Sprintf("a freeze by %s is in force (%s); `towpath repair` repairs all the same", f.By, f.Reason), until, err
	}
	return "", time.Time{}, err
}

// driftRecheck is how soon it is noticed that a freeze was lifted, or an agent is back.
const driftRecheck = time.Minute

// away says that nobody looks at a place now: what was seen there last may be
// over, and a repair would wait for the agent and stand in everybody's way.
func (r Repairs) away(ctx context.Context, tx Tx, place towpath.PlaceName, now time.Time) (string, error) {
	session, known, err := tx.Session(ctx, place)
	switch {
	case err != nil:
		return "", err
	case !known:
		return "no agent of " + string(place) + " has ever been heard of", nil
	case now.Sub(session.Seen) > towpath.AgentSilence:
		return fmt.Sprintf("the agent of %s has not been heard of since %s", place, session.Seen.UTC().Format(time.RFC3339)), nil
	}
	return "", nil
}

// decide decides about one target, and begins its repair.
func (r Repairs) decide(ctx context.Context, tx Tx, known *contents, env *towpath.Environment, d towpath.Drift, content *towpath.ReleaseContent, s drift.Situation, id towpath.DeploymentID, now time.Time) (drift.Decision, error) {
	d, err := tx.LockDrift(ctx, d.Target)
	if err != nil {
		return drift.Decision{}, err
	}
	c, _ := content.Component(d.Target.Component)
	s.Policy = c.Drift
	if s.Busy == "" {
		if s.Busy, err = r.away(ctx, tx, d.Target.Place, now); err != nil {
			return drift.Decision{}, err
		}
		if s.Busy != "" {
			s.Until = now.Add(driftRecheck)
		}
	}
	dec := drift.Decide(d, s, now, r.limitsIn(content, d.Target.Component))
	if dec.Repair {
		_, err := r.beginRepair(ctx, tx, known, towpath.System(), env, []towpath.ComponentName{d.Target.Component}, id, "repair of "+string(d.Target.Component)+": "+sentences(d.Differences), now)
		if towpath.KindOf(err) == towpath.KindConflict { // what is to run is not certain; the next deployment makes it so
			m, hint := towpath.PublicMessage(err)
			dec, err = drift.Decision{State: towpath.DriftFound, Why: m + "; " + hint}, nil
		}
		if err != nil || dec.Repair {
			return dec, err
		}
	}
	next := d
	next.State, next.Why, next.Again = dec.State, dec.Why, dec.Again
	if reflect.DeepEqual(next, d) {
		return dec, nil
	}
	if err := tx.SaveDrift(ctx, next); err != nil || next.State != towpath.DriftFlapping || d.State == towpath.DriftFlapping {
		return dec, err
	}
	ev := towpath.NewEvent(now, string(towpath.System().Account), "drift.flapping")
	ev.Project, ev.Environment, ev.Subject, ev.Release, ev.Reason = env.Project, env.Name, string(d.Target.Component), env.Release, dec.Why
	return dec, tx.Record(ctx, ev)
}
