package promote

import (
	"context"
	"encoding/json"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// deploy writes the deployment of an allowed promotion, in the transaction
// that holds the environment: there is never a second one.
func (l Promotions) deploy(ctx context.Context, tx Tx, env *towpath.Environment, p *towpath.Promotion, id towpath.DeploymentID, proof proof, now time.Time) error {
	content, err := l.contents.Content(ctx, p.Project, p.Release)
	if err != nil {
		return err
	}
	rendered, _ := content.Environment(p.Environment)
	running, err := tx.Running(ctx, p.Project, p.Environment)
	if err != nil {
		return err
	}
	rules := rendered.Rules
	if err := stays(*env, rules, running); err != nil { // it may have been opened elsewhere since it was planned
		m, hint := towpath.PublicMessage(err)
		return l.move(ctx, tx, p, towpath.TriggerDeny, m+"; "+hint, now)
	}
	components := rollout.New(content, rendered, running, p.Plan)
	var runs *towpath.ReleaseContent
	var should towpath.ReleaseEnvironment
	if env.Release != "" {
		if runs, err = l.contents.Content(ctx, p.Project, env.Release); err != nil {
			return err
		}
		should, _ = runs.Environment(env.Name)
	}
	rollout.Doubt(components, running, &should)
	if err := countBefore(ctx, tx, *env, components, runs); err != nil {
		return err
	}
	if p.Experiment == nil {
		rollout.Strategies(components, content, runs, rendered, env.Rules)
	} else if problem, hint := rollout.Experiment(components, content, runs, p.Experiment); problem != "" {
		return l.move(ctx, tx, p, towpath.TriggerDeny, problem+"; "+hint, now)
	}
	d := towpath.Deployment{
		ID: id, Project: p.Project, Environment: p.Environment,
		Kind: towpath.DeploymentPromotion, Promotion: p.ID, Candidate: p.Candidate, Release: p.Release,
		Version: p.Version, Commit: p.Commit, Previous: env.Release, PreviousVersion: env.Version,
		Phase: towpath.DeploymentPreparing, PlanHash: p.Plan.Hash, Rules: &rules,
		Experiment: p.Experiment, Components: components, Concurrent: env.Rules.Concurrent, By: p.RequestedBy, CreatedAt: now, UpdatedAt: now,
	}
	d.Authorisation, err = l.signer.Authorise(towpath.Authorisation{
		Deployment: d.ID, Kind: d.Kind, Project: d.Project, Environment: d.Environment, Candidate: d.Candidate,
		Release: d.Release, Previous: d.Previous, Earlier: d.Earlier(), PlanHash: p.Plan.Hash, Changes: p.Plan.Planned(), PolicyVersion: p.PolicyVersion, Approvers: approvers(*p),
		Commit: p.Commit, Rules: proof.rules, Evidence: proof.evidence, Signatures: proof.signatures, At: now,
	})
	if err != nil {
		return err
	}
	env.Active = d.ID
	if err := tx.SaveEnvironment(ctx, *env); err != nil {
		return err
	}
	if err := tx.InsertDeployment(ctx, d); err != nil {
		return err
	}
	p.Deployment = d.ID
	var data json.RawMessage
	if proof.passed != nil {
		if data, err = json.Marshal(proof.passed); err != nil {
			return towpath.E(towpath.KindInternal, "promotion.deploy", "what was let pass can't be encoded").WithCause(err)
		}
	}
	if err := l.moveWith(ctx, tx, towpath.System(), p, towpath.TriggerDeploy, "every gate allows it", data, now); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkDeployment, string(d.ID), now)
}

// follow takes the end of the deployment.
func (l Promotions) follow(ctx context.Context, p towpath.Promotion, now time.Time) (reconcile.Result, error) {
	after := reconcile.Done()
	err := l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		p, err := tx.LockPromotion(ctx, p.ID)
		if err != nil || p.Phase != towpath.PromotionDeploying {
			return err
		}
		d, err := tx.Deployment(ctx, p.Deployment)
		if err != nil {
			return err
		}
		trigger, ended := map[towpath.DeploymentPhase]towpath.PromotionTrigger{
			towpath.DeploymentSucceeded: towpath.TriggerSucceed, towpath.DeploymentRolledBack: towpath.TriggerRollBack,
			towpath.DeploymentConcluded: towpath.TriggerConclude,
			towpath.DeploymentFailed:    towpath.TriggerFail, towpath.DeploymentPreempted: towpath.TriggerCancel,
		}[d.Phase]
		if !ended {
			after = reconcile.After(recheck)
			return nil
		}
		reason := d.Reason
		if d.Cause != "" {
			reason = d.Cause
		}
		if trigger == towpath.TriggerRollBack && d.Stale {
			return l.planAnew(ctx, tx, &p, reason, now)
		}
		return l.move(ctx, tx, &p, trigger, reason, now)
	})
	failpoint.Hit("promotion.followed")
	return after, err
}

// maxStale is how often the base of one promotion's plan may move.
const maxStale = 3

// planAnew plans a promotion again whose plan had become stale by the time it
// was carried out. An approval of another plan doesn't count for the new one.
func (l Promotions) planAnew(ctx context.Context, tx Tx, p *towpath.Promotion, reason string, now time.Time) error {
	if p.Stale++; p.Stale > maxStale {
		return l.move(ctx, tx, p, towpath.TriggerFail, "what runs changed under each of its plans; last: "+reason, now)
	}
	p.Plan, p.Deployment = nil, ""
	return l.move(ctx, tx, p, towpath.TriggerReplan, reason, now)
}
