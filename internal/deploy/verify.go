package deploy

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Verification is one more run of the verification jobs of what an environment
// runs.
type Verification struct {
	ID          towpath.PromotionID     `json:"id"` // ver_…
	Project     towpath.ProjectName     `json:"project"`
	Environment towpath.EnvironmentName `json:"environment"`
	Release     towpath.Digest          `json:"release"`
	Version     string                  `json:"version"`
	Done        bool                    `json:"done"`
	Passed      bool                    `json:"passed"`
	Components  []ComponentVerification `json:"components"`
}

// ComponentVerification is what became of one component's jobs.
type ComponentVerification struct {
	Component towpath.ComponentName  `json:"component"`
	Phase     towpath.OperationPhase `json:"phase"`
	Message   string                 `json:"message,omitempty"`
}

// failedAgain begins the doubt of a candidate whose later verification failed;
// one that passes takes such a doubt away, and no other.
const failedAgain = "a later verification failed: "

// withdrawn says why a verification found nothing out.
const withdrawn = "withdrawn, as a deployment was rolled back or undone meanwhile; verify again when that has ended"

// Verify has the verification jobs of everything that an environment runs run
// again. When one fails, what runs there is not verified any more: it goes no
// further upstream until a verification passes.
func (s *Service) Verify(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) (Verification, error) {
	if err := access.Check(actor, access.EnvironmentVerify, access.Subject{Project: p, Environment: e}); err != nil {
		return Verification{}, err
	}
	now := s.cfg.Now()
	id := towpath.NewID[towpath.PromotionID]("ver", now)
	var out Verification
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.LockEnvironment(ctx, p, e)
		if err != nil {
			return err
		}
		switch {
		case env.Release == "":
			return towpath.E(towpath.KindConflict, "environment.verify", "%s runs nothing yet", e).WithHint("promote a release into it")
		case env.Active != "":
			return towpath.E(towpath.KindConflict, "environment.verify", "a deployment is active in %s, and verifies what it deploys", e).
				WithHint("wait for it: towpath status %s", e)
		}
		ops, err := s.verifyAgain(ctx, tx, id, env, now)
		if err != nil {
			return err
		}
		out = verification(id, env, ops)
		ev := towpath.NewEvent(now, string(actor.Account), "environment.verify-requested")
		ev.Project, ev.Environment, ev.Subject, ev.Release, ev.RequestID = p, e, string(id), env.Release, actor.RequestID
		return tx.Record(ctx, ev)
	})
	return out, err
}

// verifyAgain issues one operation for each component that runs, under the
// authorisation of the deployment that put it there.
func (s *Service) verifyAgain(ctx context.Context, tx Tx, id towpath.PromotionID, env towpath.Environment, now time.Time) ([]towpath.Operation, error) {
	running, err := tx.Running(ctx, env.Project, env.Name)
	if err != nil {
		return nil, err
	}
	runs, err := tx.Runs(ctx, env.Project, env.Name, keepRuns)
	if err != nil {
		return nil, err
	}
	var ops []towpath.Operation
	for _, r := range running {
		if r.Revision == "" {
			continue
		}
		d, err := broughtBy(ctx, tx, runs, r)
		if err != nil {
			return nil, err
		}
		spec := towpath.OperationSpec{
			Kind: r.Kind, Release: r.Release, Layer: r.Layer, Size: r.Size, Rendered: r.Rendered, Revision: r.Revision,
			Previous: r.Revision, PreviousLayer: r.Layer, PreviousRendered: r.Rendered, Timeout: r.Timeout, Authorisation: d.Authorisation,
		}
		digest, err := spec.Digest()
		if err != nil {
			return nil, err
		}
		target := s.target(&d, r)
		op := towpath.Operation{
			ID:         towpath.HashID[towpath.OperationID]("op", string(id), target.Key()),
			Deployment: d.ID, Promotion: id, Again: true, Target: target, Verb: towpath.VerbVerifyAfter, Spec: spec,
			SpecDigest: digest, Phase: towpath.OperationPending, RunAfter: now, CreatedAt: now,
		}
		if _, err := tx.InsertOperation(ctx, op); err != nil {
			return nil, err
		}
		s.wake(ctx, tx, target.Place)
		ops = append(ops, op)
	}
	return ops, nil
}

// broughtBy is the deployment that put a component where it is.
func broughtBy(ctx context.Context, tx Tx, runs []towpath.Run, r rollout.Running) (towpath.Deployment, error) {
	for _, run := range runs {
		if run.Release == r.Release && run.Verified {
			return tx.Deployment(ctx, run.Deployment)
		}
	}
	for _, run := range runs {
		if run.Release == r.Release {
			return tx.Deployment(ctx, run.Deployment)
		}
	}
	return towpath.Deployment{}, towpath.E(towpath.KindConflict, "environment.verify", "what brought %s here is too long ago to be known", r.Component).
		WithHint("promote a release")
}

// Verification shows what became of a verification.
func (s *Service) Verification(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, id towpath.PromotionID) (out Verification, err error) {
	if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: p, Environment: e}); err != nil {
		return out, err
	}
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.Environment(ctx, p, e)
		if err != nil {
			return err
		}
		ops, err := tx.VerificationOperations(ctx, id)
		if err != nil {
			return err
		}
		if len(ops) == 0 || ops[0].Target.Project != p || ops[0].Target.Environment != e {
			return towpath.E(towpath.KindNotFound, "environment.verify", "%s has no such verification", e).On(string(id))
		}
		out = verification(id, env, ops)
		return nil
	})
	return out, err
}

func verification(id towpath.PromotionID, env towpath.Environment, ops []towpath.Operation) Verification {
	v := Verification{
		ID: id, Project: env.Project, Environment: env.Name, Release: env.Release, Version: env.Version,
		Done: true, Passed: true, Components: []ComponentVerification{},
	}
	for _, op := range ops {
		c := ComponentVerification{Component: op.Target.Component, Phase: op.Phase}
		if op.Result != nil {
			c.Message = op.Result.Message
		}
		if op.Phase == towpath.OperationCancelled {
			c.Message = withdrawn
		}
		v.Done = v.Done && towpath.OperationTransitions().Terminal(op.Phase)
		v.Passed = v.Passed && op.Phase == towpath.OperationSucceeded
		v.Components = append(v.Components, c)
	}
	return v
}

// verifiedAgain takes the end of one operation of a verification. Once all
// have ended, what runs there is verified or not.
func (s *Service) verifiedAgain(ctx context.Context, tx Tx, op towpath.Operation, now time.Time) error {
	env, err := tx.LockEnvironment(ctx, op.Target.Project, op.Target.Environment) // of two that end together the second sees both
	if err != nil {
		return err
	}
	ops, err := tx.VerificationOperations(ctx, op.Promotion)
	if err != nil {
		return err
	}
	v := verification(op.Promotion, env, ops)
	run, ok, err := standing(ctx, tx, env)
	if err != nil || !v.Done || !ok || run.Began.After(op.CreatedAt) { // something else was deployed since
		return err
	}
	action, failures, why := "environment.verified", v.failures(), ""
	switch {
	case failures != "":
		action = "environment.verification-failed"
		run.Verified, run.Doubt = false, failedAgain+failures
	case !v.Passed:
		action, why = "environment.verification-withdrawn", withdrawn
	case !run.Verified && strings.HasPrefix(run.Doubt, failedAgain):
		run.Verified, run.Doubt = true, ""
	}
	if err := tx.SaveRun(ctx, run); err != nil {
		return err
	}
	ev := towpath.NewEvent(now, string(towpath.System().Account), action)
	ev.Project, ev.Environment, ev.Subject, ev.Release, ev.Reason = env.Project, env.Name, string(op.Promotion), env.Release, orElse(why, run.Doubt)
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	return s.wakeUpstream(ctx, tx, env.Project, env.Name, now)
}

// withdrawVerifications ends the verifications of an environment that are under
// way. What has failed of them until then speaks against what runs all the same.
func (s *Service) withdrawVerifications(ctx context.Context, tx Tx, p towpath.ProjectName, e towpath.EnvironmentName, now time.Time) error {
	running, err := tx.Running(ctx, p, e)
	if err != nil {
		return err
	}
	ended := map[towpath.PromotionID]towpath.Operation{}
	for _, r := range running {
		ops, err := tx.OpenVerifications(ctx, towpath.Target{Project: p, Environment: e, Component: r.Component, Place: r.Place, Slot: towpath.SlotMain})
		if err != nil {
			return err
		}
		if err := s.cancel(ctx, tx, ops, now); err != nil {
			return err
		}
		for _, op := range ops {
			ended[op.Promotion] = op
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		if err := s.verifiedAgain(ctx, tx, ended[id], now); err != nil {
			return err
		}
	}
	return nil
}

// failures says what failed, component by component; empty when nothing did.
func (v Verification) failures() string {
	text := ""
	for _, c := range v.Components {
		if c.Phase == towpath.OperationSucceeded || c.Phase == towpath.OperationCancelled {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += string(c.Component) + ": " + c.Message
		if c.Message == "" {
			text += string(c.Phase)
		}
	}
	return text
}
