package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Steering is what a person does to a rollout under way.
type Steering string

// The ways to steer a rollout.
const (
	SteerPause  Steering = "pause"  // hold the weight
	SteerResume Steering = "resume" // end the pause, or a manual step
	SteerSkip   Steering = "skip"   // end the step, whatever its time and its judgement say
	SteerAbort  Steering = "abort"  // take all of the traffic back to what ran before
)

// SteerRequest asks for a rollout to be paused or to go on.
type SteerRequest struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	Component   towpath.ComponentName // whose step is ended; empty: the only one
	Action      Steering
	Reason      string
	// WithoutEvidence has SteerResume end a step whose judgement did not come in time,
	// and nothing else: who only means to end a pause must not move the traffic.
	WithoutEvidence bool
}

// Steer pauses the rollout that is under way in an environment, or lets it go
// on.
func (s *Service) Steer(ctx context.Context, actor towpath.Actor, r SteerRequest) (towpath.Deployment, error) {
	const op = "rollout.steer"
	verb := access.PromotionRequest
	switch r.Action {
	case SteerPause:
		verb = access.Hold
	case SteerAbort:
		verb = access.PromotionCancel
	}
	if err := access.Check(actor, verb, access.Subject{Project: r.Project, Environment: r.Environment}); err != nil {
		return towpath.Deployment{}, err
	}
	now := s.cfg.Now()
	var out towpath.Deployment
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.LockEnvironment(ctx, r.Project, r.Environment)
		if err != nil {
			return err
		}
		if env.Active == "" {
			return towpath.E(towpath.KindConflict, op, "nothing is being deployed in %s", r.Environment).WithHint("`towpath status` shows what runs")
		}
		d, err := tx.LockDeployment(ctx, env.Active)
		if err != nil {
			return err
		}
		ended, err := steer(&d, actor, r, now)
		if err != nil {
			return err
		}
		d.UpdatedAt = now
		if err := tx.SaveDeployment(ctx, d); err != nil {
			return err
		}
		ev := s.event(&d, "rollout."+string(r.Action), now)
		ev.Actor, ev.Reason, ev.RequestID = string(actor.Account), r.Reason, actor.RequestID
		if ended.Component != "" {
			if ev.Data, err = ended.record(&ev.Reason); err != nil {
				return err
			}
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		out = d
		return tx.Enqueue(ctx, WorkDeployment, string(d.ID), now)
	})
	return out, err
}

// steer does to a deployment what was asked for. It returns what a person ended by
// that, zero if that was no step.
func steer(d *towpath.Deployment, actor towpath.Actor, r SteerRequest, now time.Time) (ended, error) {
	const op = "rollout.steer"
	if r.WithoutEvidence && r.Action != SteerResume {
		return ended{}, towpath.E(towpath.KindInvalid, op, "only resume goes on without evidence, and this is %s", r.Action)
	}
	if d.Phase != towpath.DeploymentPreparing && d.Phase != towpath.DeploymentSwitching {
		return ended{}, towpath.E(towpath.KindConflict, op, "the deployment in %s is %s: nothing can be steered any more", d.Environment, d.Phase).
			WithHint("it can be undone with `towpath rollback %s`", d.Environment)
	}
	if r.Action == SteerAbort {
		return ended{}, abort(d, actor, r)
	}
	switch {
	case d.Experiment != nil && r.Action == SteerPause:
		return ended{}, towpath.E(towpath.KindConflict, op, "an experiment is under way in %s: its traffic stays as it is", d.Environment).
			WithHint("`towpath experiment stop %s` ends it", d.Environment)
	case r.Action == SteerPause && d.Paused == nil:
		d.Paused = &towpath.Pause{By: actor.Account, Reason: r.Reason, At: now}
		d.Waiting, d.Asks = rollout.Paused(d.Paused), true
		return ended{}, nil
	case r.Action == SteerPause, r.Action == SteerSkip && d.Paused != nil: // whose pause it is has a reason
		return ended{}, towpath.E(towpath.KindConflict, op, "the rollout in %s is %s", d.Environment, rollout.Paused(d.Paused))
	case r.Action == SteerResume && d.Paused != nil && r.WithoutEvidence:
		return ended{}, towpath.E(towpath.KindConflict, op, "the rollout in %s is %s", d.Environment, rollout.Paused(d.Paused)).
			WithHint("end the pause, look again, and then go on without evidence")
	case r.Action == SteerResume && d.Paused != nil:
		d.Paused, d.Waiting, d.Asks = nil, "", false
		return ended{}, nil
	case r.Action != SteerResume && r.Action != SteerSkip:
		return ended{}, towpath.E(towpath.KindInvalid, op, "%q is no way to steer a rollout", r.Action).WithHint("pause, resume, skip or abort")
	}
	if d.Experiment != nil {
		return ended{}, towpath.E(towpath.KindConflict, op, "an experiment is under way in %s, which takes as long as it was to", d.Environment).
			WithHint("`towpath experiment stop %s` ends it", d.Environment)
	}
	x, err := step(d, r, now)
	if err != nil {
		return ended{}, err
	}
	x.Canary.Passed, x.Canary.PassedBy = x.Step+1, actor.Account
	d.Waiting, d.Asks = "", false // said anew by the next decision
	return endedStep(x, r.WithoutEvidence), nil
}

// abort has a deployment go back, as cancelling its promotion does.
func abort(d *towpath.Deployment, actor towpath.Actor, r SteerRequest) error {
	const op = "rollout.steer"
	switch {
	case d.Experiment != nil:
		return towpath.E(towpath.KindConflict, op, "an experiment is under way in %s, which goes back anyway", d.Environment).
			WithHint("`towpath experiment stop %s` ends it now", d.Environment)
	case d.Kind != towpath.DeploymentPromotion:
		return towpath.E(towpath.KindConflict, op, "what is under way in %s is a %s, which is the way back already", d.Environment, d.Kind).
			WithHint("`towpath rollback %s --to VERSION` goes somewhere else", d.Environment)
	}
	if d.Abort != "" {
		return towpath.E(towpath.KindConflict, op, "the deployment in %s goes back already: %s", d.Environment, d.Abort).
			WithHint("`towpath status %s` shows how far it is", d.Environment)
	}
	d.Abort, d.Waiting, d.Asks = "aborted by "+string(actor.Account), "", false
	if r.Reason != "" {
		d.Abort += ": " + r.Reason
	}
	return nil
}

// step is the one that a person ends: to resume, one that waits for a person, or
// for evidence in vain if that is what is to be gone without.
// Whoever looked at one component has not looked at the others.
func step(d *towpath.Deployment, r SteerRequest, now time.Time) (rollout.Stand, error) {
	const op = "rollout.steer"
	stands := rollout.Standing(d)
	if r.Component != "" {
		stands = slices.DeleteFunc(stands, func(x rollout.Stand) bool { return x.Component != r.Component })
	}
	var names []string
	for _, x := range stands {
		names = append(names, string(x.Component))
	}
	of := strings.Join(names, " and ")
	if len(stands) == 0 {
		return rollout.Stand{}, atNoStep(d, r)
	}
	late := false // some judgement is
	if r.Action == SteerResume {
		want := rollout.GoOn
		if r.WithoutEvidence {
			want = rollout.WithoutEvidence
		}
		late = slices.ContainsFunc(stands, func(x rollout.Stand) bool { return x.Asks(now) == rollout.WithoutEvidence })
		stands = slices.DeleteFunc(stands, func(x rollout.Stand) bool { return x.Asks(now) != want })
	}
	switch {
	case len(stands) == 0 && late:
		return rollout.Stand{}, towpath.E(towpath.KindConflict, op, "nothing is paused, and to go on would be without evidence: %s", d.Waiting).
			WithHint("look at it first: `towpath status %s`; then `towpath rollout resume %[1]s --without-evidence` goes on all the same", d.Environment)
	case len(stands) == 0 && r.WithoutEvidence:
		return rollout.Stand{}, towpath.E(towpath.KindConflict, op, "no evidence of %s is overdue: %s", of, d.Waiting).
			WithHint("`towpath rollout skip %s` ends the step all the same", d.Environment)
	case len(stands) == 0:
		return rollout.Stand{}, towpath.E(towpath.KindConflict, op, "the rollout of %s does not wait for a person: %s", of, d.Waiting).
			WithHint("`towpath rollout skip %s` ends the step all the same", d.Environment)
	case len(stands) > 1:
		return rollout.Stand{}, towpath.E(towpath.KindConflict, op, "%s stand at a step each", of).WithHint("say whose to end with --component")
	}
	return stands[0], nil
}

// atNoStep is the error of a step that nobody waits at.
func atNoStep(d *towpath.Deployment, r SteerRequest) error {
	const op = "rollout.steer"
	what := "the rollout in " + string(d.Environment)
	if r.Component != "" {
		var names []string
		for _, x := range d.Components {
			names = append(names, string(x.Component))
		}
		if !slices.Contains(names, string(r.Component)) {
			return towpath.E(towpath.KindNotFound, op, "component %q is not one of those that move in %s", r.Component, d.Environment).
				WithHint("they are %s", strings.Join(names, ", "))
		}
		what = fmt.Sprintf("the rollout of %s in %s", r.Component, d.Environment)
	}
	return towpath.E(towpath.KindConflict, op, "%s stands at no step: %s", what, cmp.Or(d.Waiting, "it is on its way to the next one")).
		WithHint("`towpath status %s` shows how far it is; it can be undone with `towpath rollback %[1]s`", d.Environment)
}
