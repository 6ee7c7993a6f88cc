package promote

import (
	"context"
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// planSlot keeps plans apart from what changes a target: a plan never
// pre-empts a deployment.
const planSlot = "plan"

// planTimeout bounds one plan operation.
const planTimeout = time.Minute

// planOperations lists the operations whose results make the plan of moving
// an environment to a release. Components that stay as they are need none.
func planOperations(id towpath.PromotionID, env towpath.Environment, release towpath.Digest, content *towpath.ReleaseContent, running []rollout.Running, now time.Time) ([]towpath.Operation, error) {
	rendered, ok := content.Environment(env.Name)
	if !ok {
		return nil, towpath.E(towpath.KindInvalid, "promotion.plan", "the release has no environment %s", env.Name).
			WithHint("add it to towpath.yaml and build another release")
	}
	if err := stays(env, rendered.Rules, running); err != nil {
		return nil, err
	}
	var out []towpath.Operation
	for _, r := range rollout.New(content, rendered, running, nil) {
		c, _ := content.Component(r.Component)
		to, _ := rendered.Component(r.Component)
		spec := towpath.OperationSpec{
			Kind: r.Kind, Release: release, Layer: c.Layer, Size: c.Size, Rendered: to.Spec, Revision: r.To,
			Previous: r.From, Timeout: planTimeout,
		}
		if r.Before != nil {
			spec.PreviousLayer, spec.PreviousRendered = r.Before.Layer, r.Before.Rendered
		}
		digest, err := spec.Digest()
		if err != nil {
			return nil, err
		}
		target := towpath.Target{Project: env.Project, Environment: env.Name, Component: r.Component, Place: env.Rules.Place, Slot: planSlot}
		out = append(out, towpath.Operation{
			ID:        towpath.HashID[towpath.OperationID]("op", string(id), target.Key(), string(towpath.VerbPlan), string(env.Release), string(digest)),
			Promotion: id, Target: target, Verb: towpath.VerbPlan, Spec: spec, SpecDigest: digest,
			Phase: towpath.OperationPending, RunAfter: now, CreatedAt: now,
		})
	}
	return out, nil
}

// stays makes sure that a release leaves an environment in its place: what runs
// elsewhere would go on there, and nobody would replace it; and where it was opened
// is where somebody let it run.
func stays(env towpath.Environment, rules towpath.EnvironmentSpec, running []rollout.Running) error {
	for _, r := range running {
		if r.Revision != "" && r.Place != rules.Place {
			return towpath.E(towpath.KindInvalid, "promotion.plan", "%s of %s runs in place %s, and the release puts it into %s: a running environment can't be moved",
				r.Component, rules.Name, r.Place, rules.Place).
				WithHint("give the new place an environment of its own and promote into that; then take the old one out of towpath.yaml")
		}
	}
	if env.Opened != nil && env.Opened.Place != rules.Place {
		return towpath.E(towpath.KindInvalid, "promotion.plan", "%s was opened in place %s, and the release puts it into %s", env.Name, env.Opened.Place, rules.Place).
			WithHint("promote a release whose towpath.yaml has it in %s, or give the other place an environment of its own", env.Opened.Place)
	}
	return nil
}

// closed says why nothing may be planned for an environment or deployed into it, as
// it is not open; empty: it is.
func closed(env towpath.Environment) (why, hint string) {
	if env.Open() {
		return "", ""
	}
	return fmt.Sprintf("nobody has opened %s: a release proposes that it runs in place %s", env.Name, env.Rules.Place),
		fmt.Sprintf("whoever has the role %s looks at its rules and opens it: towpath open %s", towpath.RoleAdmin, env.Name)
}

// planned puts the results of plan operations together. done is false while
// one is still under way; failed says why one can't be had.
func planned(base towpath.Digest, want []towpath.Operation, have []towpath.Operation, now time.Time) (plan *towpath.Plan, done bool, failed string) {
	results := map[towpath.OperationID]towpath.Operation{}
	for _, op := range have {
		results[op.ID] = op
	}
	components := []towpath.ComponentPlan{}
	for _, w := range want {
		op := results[w.ID]
		switch {
		case op.Phase == towpath.OperationSucceeded && op.Result != nil && op.Result.Plan != nil:
			components = append(components, *op.Result.Plan)
		case towpath.OperationTransitions().Terminal(op.Phase):
			message := "it was " + string(op.Phase)
			if op.Result != nil && op.Result.Message != "" {
				message = op.Result.Message
			}
			return nil, false, "the plan of " + string(w.Target.Component) + " can't be made: " + message
		default:
			return nil, false, ""
		}
	}
	return towpath.PlanOf(base, components, now), true, ""
}

// askForPlan issues plan operations and returns what is known of them.
func (s *Service) askForPlan(ctx context.Context, tx Tx, id towpath.PromotionID, want []towpath.Operation) ([]towpath.Operation, error) {
	for _, op := range want {
		created, err := tx.InsertOperation(ctx, op)
		if err != nil {
			return nil, err
		}
		if created {
			place := op.Target.Place
			tx.AfterCommit(func() { s.cfg.Claimable(place) })
		}
	}
	return tx.PlanOperations(ctx, id)
}

// absent says that nobody serves a place, if so.
func absent(ctx context.Context, tx Tx, place towpath.PlaceName, now time.Time) (string, error) {
	seen, err := tx.AgentSeen(ctx, place)
	switch {
	case err != nil:
		return "", err
	case seen.IsZero():
		return "no agent has ever connected for place " + string(place), nil
	case now.Sub(seen) > towpath.AgentSilence:
		return "the agent of place " + string(place) + " has not been heard of since " + seen.Format(time.RFC3339), nil
	}
	return "", nil
}

// barred says that those who may serve a place may not work for an environment,
// if so: an agent that is there is given nothing of it. Who serves a place without
// a grant is the server's own.
func barred(ctx context.Context, tx Tx, env towpath.Environment) (string, error) {
	place := env.Rules.Place
	grants, err := tx.AgentGrants(ctx, place)
	if err != nil || len(grants) == 0 {
		return "", err
	}
	anybody := towpath.Actor{Account: "anybody", Grants: grants}
	if access.Check(anybody, access.AgentWork, access.Subject{Project: env.Project, Environment: env.Name, Place: place}) == nil {
		return "", nil
	}
	return fmt.Sprintf("the agent of place %s may not work for %s/%s: an admin can change that with `towpath account grant ACCOUNT agent --place %s --in %s`",
		place, env.Project, env.Name, place, env.Project), nil
}
