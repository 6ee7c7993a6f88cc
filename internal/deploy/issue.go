package deploy

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// issue writes the operations that were decided on. Their IDs are hashes of
// what they are, so that deciding twice issues once.
func (s *Service) issue(ctx context.Context, tx Tx, c *contents, d *towpath.Deployment, env towpath.Environment, issues []rollout.Issue, now time.Time) error {
	if len(issues) == 0 {
		return nil
	}
	running, err := tx.Running(ctx, d.Project, d.Environment)
	if err != nil {
		return err
	}
	for _, is := range issues {
		i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == is.Component })
		r := &d.Components[i]
		var content *towpath.ReleaseContent
		if brings(r, is) {
			if content, err = c.of(d.Release); err != nil {
				return err
			}
		}
		now0, known := find(running, is.Component)
		if !known {
			now0 = rollout.Running{Component: r.Component, Kind: r.Kind, Place: env.Rules.Place, Timeout: r.Timeout}
		}
		if !now0.Unsure {
			now0.Unsure = true
			if err := tx.SaveRunning(ctx, s.target(d, now0), now0); err != nil {
				return err
			}
		}
		op, err := s.operation(d, r, is, now0, content, now)
		if err != nil {
			return err
		}
		created, err := tx.InsertOperation(ctx, op)
		if err != nil {
			return err
		}
		if created {
			s.wake(ctx, tx, op.Target.Place)
		}
	}
	return nil
}

// brings reports whether an operation is about the revision that a deployment
// brings: of what runs without it the deployment knows all itself, and gets back to
// that whether its own release can be read or not.
func brings(r *towpath.Rollout, is rollout.Issue) bool {
	return is.Revision != "" && is.Revision == r.To
}

// operation puts one operation together. A verb that is issued again, after
// it was withdrawn or failed, is another attempt with another ID.
func (s *Service) operation(d *towpath.Deployment, r *towpath.Rollout, is rollout.Issue, running rollout.Running, content *towpath.ReleaseContent, now time.Time) (towpath.Operation, error) {
	attempt := 0
	for _, step := range r.Steps {
		if step.Verb == is.Verb && step.Weight == is.Weight {
			attempt++
		}
	}
	target := s.target(d, running)
	spec := towpath.OperationSpec{
		Kind: r.Kind, Release: d.Release, Revision: is.Revision, Timeout: r.Timeout,
		Previous: running.Revision, PreviousLayer: running.Layer, PreviousRendered: running.Rendered,
		Authorisation: d.Authorisation, Weight: is.Weight, Copies: is.Copies, Sticky: is.Sticky, Scale: is.Scale, Keep: is.Keep, Back: goesBack(d, is.Verb),
	}
	if is.Verb == towpath.VerbRepair {
		spec.Timeout = rollout.RepairSteps * r.Timeout
	}
	if is.Verb == towpath.VerbShift {
		spec.Experiment = d.Experiment.Route()
	}
	switch {
	case brings(r, is):
		if c, ok := content.Component(r.Component); ok {
			spec.Layer, spec.Size = c.Layer, c.Size
		}
		if env, ok := content.Environment(d.Environment); ok {
			if c, ok := env.Component(r.Component); ok {
				spec.Rendered = c.Spec
			}
		}
	case is.Revision != "":
		back := r.Before
		spec.Release, spec.Layer, spec.Size, spec.Rendered = back.Release, back.Layer, back.Size, back.Rendered
	}
	digest, err := spec.Digest()
	if err != nil {
		return towpath.Operation{}, err
	}
	verb := string(is.Verb)
	if is.Weight > 0 { // each weight is a step of its own
		verb += " " + strconv.Itoa(is.Weight)
	}
	return towpath.Operation{
		ID:         towpath.HashID[towpath.OperationID]("op", string(d.ID), target.Key(), verb, strconv.Itoa(attempt), string(r.PlanHash)),
		Deployment: d.ID, Target: target, Verb: is.Verb, Spec: spec, SpecDigest: digest,
		Phase: towpath.OperationPending, RunAfter: now.Add(backoff(attempt)), CreatedAt: now,
	}, nil
}

// goesBack reports whether an operation is a step of going back, in which users wait
// for what it stops. What a rollback removes in the end nobody waits for.
func goesBack(d *towpath.Deployment, v towpath.Verb) bool {
	if v == towpath.VerbRemove {
		return d.Phase == towpath.DeploymentReverting
	}
	return d.Kind == towpath.DeploymentRollback
}

// target is where the revision of a deployment's component runs.
func (s *Service) target(d *towpath.Deployment, r rollout.Running) towpath.Target {
	return towpath.Target{
		Project: d.Project, Environment: d.Environment, Component: r.Component,
		Place: r.Place, Slot: towpath.SlotMain,
	}
}

// withdraw cancels every operation of a deployment that has not ended, and the
// verifications of what the environment runs, which would keep what takes their
// place from its targets.
func (s *Service) withdraw(ctx context.Context, tx Tx, d *towpath.Deployment, now time.Time) error {
	ops, err := tx.OperationsOf(ctx, d.ID)
	if err != nil {
		return err
	}
	if err := s.cancel(ctx, tx, ops, now); err != nil {
		return err
	}
	return s.withdrawVerifications(ctx, tx, d.Project, d.Environment, now)
}

// cancel cancels operations that have not ended: agents learn it when they renew, or
// from the higher fence of what follows.
func (s *Service) cancel(ctx context.Context, tx Tx, ops []towpath.Operation, now time.Time) error {
	for _, op := range ops {
		if towpath.OperationTransitions().Terminal(op.Phase) {
			continue
		}
		op, err := tx.LockOperation(ctx, op.ID)
		if err != nil {
			return err
		}
		phase, err := towpath.OperationTransitions().Next("operation", op.Phase, towpath.TriggerWithdraw)
		if err != nil {
			continue // it has just ended
		}
		op.Phase, op.Said, op.EndedAt = phase, "", now
		if err := tx.SaveOperation(ctx, op); err != nil {
			return err
		}
		s.wake(ctx, tx, op.Target.Place)
	}
	return nil
}

// backoff is how long an operation waits before an attempt.
func backoff(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	return min(time.Second<<min(attempt-1, 6), time.Minute)
}

func find(running []rollout.Running, c towpath.ComponentName) (rollout.Running, bool) {
	i := slices.IndexFunc(running, func(r rollout.Running) bool { return r.Component == c })
	if i < 0 {
		return rollout.Running{}, false
	}
	return running[i], true
}
