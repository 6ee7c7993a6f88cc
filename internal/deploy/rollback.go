package deploy

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// keepRuns is how many stays in an environment a rollback looks back over.
const keepRuns = 200

// Rollback takes an environment back to the last good release, or to a named
// one that was verified there: a deployment through the same code path, code
// and settings together. It pre-empts what is active; windows, freezes and
// holds do not block it; it needs neither git nor the network nor approval. It
// sets a hold.
func (s *Service) Rollback(ctx context.Context, actor towpath.Actor, r RollbackRequest) (RollbackResult, error) {
	if err := access.Check(actor, access.Rollback, access.Subject{Project: r.Project, Environment: r.Environment}); err != nil {
		return RollbackResult{}, err
	}
	now := s.cfg.Now()
	id := towpath.NewID[towpath.DeploymentID]("dep", now)
	run := s.store.Update
	if r.DryRun {
		run = s.store.View
	}
	var out RollbackResult
	err := s.withContents(ctx, run, r.Project, func(ctx context.Context, tx Tx, c *contents) error {
		var err error
		out, err = s.rollback(ctx, tx, c, actor, r, id, now)
		return err
	})
	failpoint.Hit("rollback.requested")
	return out, err
}

func (s *Service) rollback(ctx context.Context, tx Tx, c *contents, actor towpath.Actor, r RollbackRequest, id towpath.DeploymentID, now time.Time) (RollbackResult, error) {
	lock := tx.LockEnvironment
	if r.DryRun {
		lock = tx.Environment
	}
	env, err := lock(ctx, r.Project, r.Environment)
	if err != nil {
		return RollbackResult{}, err
	}
	active, err := s.active(ctx, tx, env)
	if err != nil {
		return RollbackResult{}, err
	}
	if active != nil && active.Kind == towpath.DeploymentRollback && r.To == "" {
		return underWay(env, active, r.DryRun), nil // asking twice goes back once
	}
	target, err := s.backTo(ctx, tx, env, active, r.To)
	if err != nil {
		return RollbackResult{}, err
	}
	content, err := c.of(target.Release)
	if err != nil {
		return RollbackResult{}, err
	}
	rendered, ok := content.Environment(r.Environment)
	if !ok {
		return RollbackResult{}, towpath.E(towpath.KindInvalid, "deploy.rollback", "release %s has no environment %s", target.Version, r.Environment)
	}
	running, err := tx.Running(ctx, r.Project, r.Environment)
	if err != nil {
		return RollbackResult{}, err
	}
	d := towpath.Deployment{
		ID: id, Project: r.Project, Environment: r.Environment, Kind: towpath.DeploymentRollback,
		Candidate: target.Candidate, Release: target.Release, Version: target.Version, Commit: target.Commit,
		Previous: env.Release, PreviousVersion: env.Version, Phase: towpath.DeploymentPreparing, Cause: r.Reason,
		Components: rollout.New(content, rendered, running, nil), By: actor.Account, CreatedAt: now, UpdatedAt: now,
	}
	rollout.Doubt(d.Components, running, shouldRun(c, env))
	rollout.Back(d.Components, content, env.Rules, s.whatRuns(ctx, c, env, active)...)
	if !r.sign.IsZero() {
		d.Recovery = &towpath.Recovery{Sign: r.sign, Detected: now}
	}
	out := RollbackResult{
		Environment: env.Name, From: env.Release, FromVersion: env.Version, To: target.Release, ToVersion: target.Version,
		DryRun: r.DryRun, Components: changes(d, rendered, runsInPart(c, env, active, running)),
	}
	if active != nil {
		out.From, out.FromVersion = active.Release, active.Version
	}
	if r.DryRun {
		return out, nil
	}
	out.Deployment = &d
	return out, s.begin(ctx, tx, actor, &env, active, &d, now)
}

// whatRuns is the content of the releases of which something runs, for their
// dependencies. One that can't be read is left out: it may be why somebody goes
// back, and must not be in the way of that.
func (s *Service) whatRuns(ctx context.Context, c *contents, env towpath.Environment, active *towpath.Deployment) []*towpath.ReleaseContent {
	releases := []towpath.Digest{env.Release}
	if active != nil {
		releases = append(releases, active.Release)
	}
	var out []*towpath.ReleaseContent
	for _, r := range releases {
		if r == "" {
			continue
		}
		content, err := c.of(r)
		if err != nil && c.lacks == "" {
			s.cfg.Log.WarnContext(ctx, "a rollback does not know the dependencies of what runs, and goes by those of the release that it goes back to",
				"project", env.Project, "environment", env.Name, "release", r, "error", err)
		}
		if err == nil {
			out = append(out, content)
		}
	}
	return out
}

// shouldRun is what an environment is said to run; nil when that can't be read.
func shouldRun(c *contents, env towpath.Environment) *towpath.ReleaseEnvironment {
	if env.Release == "" {
		return &towpath.ReleaseEnvironment{}
	}
	content, err := c.of(env.Release)
	if err != nil {
		return nil
	}
	rendered, _ := content.Environment(env.Name)
	return &rendered
}

// underWay is the result of asking for a rollback while one is active.
func underWay(env towpath.Environment, d *towpath.Deployment, dryRun bool) RollbackResult {
	return RollbackResult{
		Environment: env.Name, From: d.Previous, FromVersion: d.PreviousVersion, To: d.Release, ToVersion: d.Version,
		DryRun: dryRun, Components: []towpath.ComponentPlan{}, Deployment: d,
	}
}

// begin writes the rollback down: what it pre-empts, the hold and the
// deployment itself.
func (s *Service) begin(ctx context.Context, tx Tx, actor towpath.Actor, env *towpath.Environment, active, d *towpath.Deployment, now time.Time) error {
	if active != nil {
		if err := s.apply(ctx, tx, env, active, towpath.TriggerPreempt, "a rollback by "+string(actor.Account)+" took over", now); err != nil {
			return err
		}
	} else if err := s.withdrawVerifications(ctx, tx, env.Project, env.Name, now); err != nil {
		return err
	}
	var err error
	d.Authorisation, err = s.signer.Authorise(towpath.Authorisation{
		Deployment: d.ID, Kind: d.Kind, Project: d.Project, Environment: d.Environment,
		Candidate: d.Candidate, Release: d.Release, Previous: d.Previous, Earlier: d.Earlier(), PolicyVersion: env.PolicyVersion, At: now,
	})
	if err != nil {
		return err
	}
	from := env.Version
	if active != nil {
		from = active.Version
	}
	reason := "rolled back from " + from + " to " + d.Version
	if d.Cause != "" {
		reason += ": " + d.Cause
	}
	if env.Rules.Branch != "" && env.Release != d.Release {
		reason += "; the branch " + env.Rules.Branch + " stays ahead, at " + env.Version
	}
	if err := s.doubtWhatRuns(ctx, tx, *env, d, reason); err != nil {
		return err
	}
	env.Active = d.ID
	env.Hold = &towpath.Hold{Reason: reason, By: string(actor.Account), At: now}
	if err := tx.SaveEnvironment(ctx, *env); err != nil {
		return err
	}
	if err := tx.InsertDeployment(ctx, *d); err != nil {
		return err
	}
	ev := s.event(d, "rollback.requested", now)
	ev.Reason, ev.RequestID = reason, actor.RequestID
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	held := s.event(d, "environment.held", now)
	held.Subject, held.Reason = string(env.Name), reason
	if err := tx.Record(ctx, held); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkDeployment, string(d.ID), now)
}

// doubtWhatRuns takes the verification of what an environment runs back as soon
// as somebody wants to be rid of it: no other rollback may go there, however well
// the same release ran there before.
func (s *Service) doubtWhatRuns(ctx context.Context, tx Tx, env towpath.Environment, d *towpath.Deployment, reason string) error {
	left, ok, err := standing(ctx, tx, env)
	if err != nil || !ok || left.Release == d.Release {
		return err
	}
	runs, err := tx.Runs(ctx, env.Project, env.Name, keepRuns)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if run.Deployment != left.Deployment && (run.Release != left.Release || !run.Verified) {
			continue
		}
		run.Verified, run.Doubt = false, reason
		if err := tx.SaveRun(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

// active is the deployment under way; nil when there is none.
func (s *Service) active(ctx context.Context, tx Tx, env towpath.Environment) (*towpath.Deployment, error) {
	if env.Active == "" {
		return nil, nil
	}
	d, err := tx.Deployment(ctx, env.Active)
	return &d, err
}

// backTo chooses the release to go back to. While a promotion is under way and
// has not been switched to, what the environment runs is the last good one, and
// so it is when a deployment failed and could not be undone.
func (s *Service) backTo(ctx context.Context, tx Tx, env towpath.Environment, active *towpath.Deployment, name string) (towpath.Run, error) {
	const op = "deploy.rollback"
	runs, err := tx.Runs(ctx, env.Project, env.Name, keepRuns)
	if err != nil {
		return towpath.Run{}, err
	}
	wanted := towpath.Digest("")
	if name != "" {
		found, err := tx.FindCandidates(ctx, env.Project, name, towpath.MaxMeanings)
		if err != nil {
			return towpath.Run{}, err
		}
		c, err := towpath.ChooseCandidate(env.Project, name, found)
		if err != nil {
			return towpath.Run{}, err
		}
		wanted = c.Release
	}
	going := env.Release
	if active != nil {
		going = active.Release
	} else if doubtful, err := inDoubt(ctx, tx, env); err != nil {
		return towpath.Run{}, err
	} else if doubtful {
		going = "" // what it is said to run is what it did not get back to
	}
	seen, same := false, false
	for _, r := range runs {
		switch {
		case wanted != "" && wanted != r.Release:
			continue
		case r.Release == going:
			same = true
			continue
		case !r.Verified:
			seen = true
			continue
		}
		q, err := tx.Quarantine(ctx, env.Project, r.Release)
		if err != nil {
			return r, err
		}
		gone, err := tx.Collected(ctx, env.Project, r.Release)
		if err != nil {
			return r, err
		}
		if q != nil || gone {
			seen = true
			continue
		}
		return r, nil
	}
	switch {
	case same && wanted != "":
		return towpath.Run{}, towpath.E(towpath.KindConflict, op, "%s runs %s already: there is nothing to roll back", env.Name, name)
	case seen && wanted != "":
		return towpath.Run{}, towpath.E(towpath.KindConflict, op, "%s is not good in %s any more: it was rolled back from, failed, is quarantined or was given up by retention", name, env.Name).
			WithHint("`towpath release list` shows what else ran there; a fix is a new release")
	case wanted != "":
		return towpath.Run{}, towpath.E(towpath.KindConflict, op, "%s never ran verified in %s", name, env.Name).
			WithHint("a rollback goes to what ran there before; promote it instead")
	}
	return towpath.Run{}, towpath.E(towpath.KindConflict, op, "%s has no earlier good release to go back to", env.Name).
		WithHint("promote a release that is good")
}

// inDoubt reports whether a deployment of an environment could not be undone, and
// none has brought it into order since: some of its components may run anything.
func inDoubt(ctx context.Context, tx Tx, env towpath.Environment) (bool, error) {
	running, err := tx.Running(ctx, env.Project, env.Name)
	return slices.ContainsFunc(running, func(r rollout.Running) bool { return r.Unsure }), err
}

// runsInPart is what runs, with the revisions that the deployment under way has
// begun to bring in the place of those that they replace: going back is from these.
func runsInPart(c *contents, env towpath.Environment, active *towpath.Deployment, running []rollout.Running) []rollout.Running {
	out := slices.Clone(running)
	if active == nil {
		return out
	}
	content, err := c.of(active.Release)
	if err != nil {
		content = &towpath.ReleaseContent{} // it may be why somebody goes back: without it only the settings are not told
	}
	rendered, _ := content.Environment(env.Name)
	for _, r := range active.Components {
		i := slices.IndexFunc(out, func(x rollout.Running) bool { return x.Component == r.Component })
		if i < 0 || len(r.Steps) == 0 || r.To == "" || r.To == out[i].Revision {
			continue
		}
		out[i].Revision = r.To
		if x, ok := rendered.Component(r.Component); ok {
			out[i].Rendered = x.Spec
		}
	}
	return out
}

// changes says what a deployment does to each component, by what runs of it.
func changes(d towpath.Deployment, env towpath.ReleaseEnvironment, running []rollout.Running) []towpath.ComponentPlan {
	out := []towpath.ComponentPlan{}
	for _, r := range d.Components {
		now, _ := find(running, r.Component)
		to, _ := env.Component(r.Component)
		out = append(out, towpath.ComponentPlan{
			Component: r.Component, Kind: r.Kind, Action: r.Action, From: now.Revision, To: r.To,
			Changes: rollout.Changes(now.Rendered, to.Spec),
		})
	}
	return out
}
