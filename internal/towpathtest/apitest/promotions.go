package apitest

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

type promotions struct{ w *World }

func (s promotions) Preview(ctx context.Context, actor towpath.Actor, _ promote.Request) (promote.Preview, error) {
	if err := s.w.enter(ctx, actor, "promotions.Preview"); err != nil {
		return promote.Preview{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Preview, nil
}

func (s promotions) Evidence(ctx context.Context, actor towpath.Actor, _ promote.Request) (promote.Preview, error) {
	if err := s.w.enter(ctx, actor, "promotions.Evidence"); err != nil {
		return promote.Preview{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Verdicts, nil
}

func (s promotions) Request(ctx context.Context, actor towpath.Actor, r promote.Request) (towpath.Promotion, error) {
	if err := s.w.enter(ctx, actor, "promotions.Request"); err != nil {
		return towpath.Promotion{}, err
	}
	defer s.w.mu.Unlock()
	return find(s.w.Promotions, "promotion", string(r.Environment), func(p towpath.Promotion) bool { return p.Environment == r.Environment })
}

func (s promotions) Get(ctx context.Context, actor towpath.Actor, id towpath.PromotionID) (towpath.Promotion, error) {
	if err := s.w.enter(ctx, actor, "promotions.Get"); err != nil {
		return towpath.Promotion{}, err
	}
	defer s.w.mu.Unlock()
	return s.get(id)
}

func (s promotions) get(id towpath.PromotionID) (towpath.Promotion, error) {
	return find(s.w.Promotions, "promotion", string(id), func(p towpath.Promotion) bool { return p.ID == id })
}

func (s promotions) List(ctx context.Context, actor towpath.Actor, f promote.Filter) (promote.List, error) {
	if err := s.w.enter(ctx, actor, "promotions.List"); err != nil {
		return promote.List{}, err
	}
	defer s.w.mu.Unlock()
	out := promote.List{Items: []towpath.Promotion{}}
	for _, p := range s.w.Promotions {
		open := !towpath.PromotionTransitions().Terminal(p.Phase)
		if (f.Environment == "" || p.Environment == f.Environment) && (open || !f.Open) {
			out.Items = append(out.Items, p)
		}
	}
	return out, nil
}

func (s promotions) Approve(ctx context.Context, actor towpath.Actor, id towpath.PromotionID, approve bool, reason string) (towpath.Promotion, error) {
	if err := s.w.enter(ctx, actor, "promotions.Approve"); err != nil {
		return towpath.Promotion{}, err
	}
	defer s.w.mu.Unlock()
	p, err := s.get(id)
	p.Approvals = append(p.Approvals, towpath.Approval{By: actor.Account, Approve: approve, Reason: reason, PolicyVersion: p.PolicyVersion})
	return p, err
}

func (s promotions) Cancel(ctx context.Context, actor towpath.Actor, id towpath.PromotionID, reason string) (towpath.Promotion, error) {
	if err := s.w.enter(ctx, actor, "promotions.Cancel"); err != nil {
		return towpath.Promotion{}, err
	}
	defer s.w.mu.Unlock()
	p, err := s.get(id)
	if p.Phase == towpath.PromotionDeploying {
		return p, err // its deployment goes back first
	}
	p.Phase, p.Reason = towpath.PromotionCancelled, reason
	return p, err
}

func (s promotions) StopExperiment(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ towpath.EnvironmentName, reason string) (towpath.Promotion, error) {
	return s.Cancel(ctx, actor, s.w.Promotions[0].ID, reason)
}

func (s promotions) PromoteExperiment(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ towpath.EnvironmentName, _ towpath.DeploymentID) (towpath.Promotion, error) {
	return s.Get(ctx, actor, s.w.Promotions[0].ID)
}

func (s promotions) Hold(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, reason string) error {
	return s.hold(ctx, actor, "promotions.Hold", e, &towpath.Hold{Reason: reason, By: string(actor.Account)})
}

func (s promotions) Unhold(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, _ string) error {
	return s.hold(ctx, actor, "promotions.Unhold", e, nil)
}

func (s promotions) Open(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, e towpath.EnvironmentName, seen towpath.Digest) error {
	if err := s.w.enter(ctx, actor, "promotions.Open"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	for i := range s.w.Status {
		if st := &s.w.Status[i]; st.Environment == e && st.Proposed != nil && st.Proposed.PolicyVersion == seen {
			st.Proposed, st.Phase = nil, inventory.PhaseEmpty
			return nil
		}
	}
	return absent("proposal", string(e))
}

func (s promotions) hold(ctx context.Context, actor towpath.Actor, method string, e towpath.EnvironmentName, h *towpath.Hold) error {
	if err := s.w.enter(ctx, actor, method); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	for i := range s.w.Status {
		if s.w.Status[i].Environment == e {
			s.w.Status[i].Hold = h
			return nil
		}
	}
	return absent("environment", string(e))
}

func (s promotions) Freeze(ctx context.Context, actor towpath.Actor, r promote.FreezeRequest) (towpath.Freeze, error) {
	if err := s.w.enter(ctx, actor, "promotions.Freeze"); err != nil {
		return towpath.Freeze{}, err
	}
	defer s.w.mu.Unlock()
	return towpath.Freeze{
		ID: "frz_1", Project: r.Project, Environment: r.Environment, Reason: r.Reason, By: actor.Account,
		From: r.From, Until: r.Until, Emergency: r.Emergency,
	}, nil
}

func (s promotions) Unfreeze(ctx context.Context, actor towpath.Actor, id towpath.FreezeID, _ string) error {
	if err := s.w.enter(ctx, actor, "promotions.Unfreeze"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	_, err := find(s.w.Freezes, "freeze", string(id), func(f towpath.Freeze) bool { return f.ID == id })
	return err
}

func (s promotions) Freezes(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName) ([]towpath.Freeze, error) {
	if err := s.w.enter(ctx, actor, "promotions.Freezes"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	return s.w.Freezes, nil
}

func (s promotions) PostCheck(ctx context.Context, actor towpath.Actor, r promote.CheckRequest) (towpath.Check, error) {
	if err := s.w.enter(ctx, actor, "promotions.PostCheck"); err != nil {
		return towpath.Check{}, err
	}
	defer s.w.mu.Unlock()
	return towpath.Check{
		Project: r.Project, Candidate: "cnd_1", Environment: r.Environment, Key: r.Key, State: r.State, URL: r.URL,
		Description: r.Description, By: actor.Account,
	}, nil
}

type deploys struct{ w *World }

func (s deploys) Rollback(ctx context.Context, actor towpath.Actor, r deploy.RollbackRequest) (deploy.RollbackResult, error) {
	method := "deploys.Rollback"
	if r.DryRun {
		method += ".dry"
	}
	if err := s.w.enter(ctx, actor, method); err != nil {
		return deploy.RollbackResult{}, err
	}
	defer s.w.mu.Unlock()
	out := s.w.Rollback
	if out.DryRun = r.DryRun; r.DryRun {
		out.Deployment = nil
	}
	return out, nil
}

func (s deploys) Alerts(ctx context.Context, actor towpath.Actor, alerts []towpath.Alert) (deploy.AlertReport, error) {
	if err := s.w.enter(ctx, actor, "deploys.Alerts"); err != nil {
		return deploy.AlertReport{}, err
	}
	defer s.w.mu.Unlock()
	out := deploy.AlertReport{Alerts: []deploy.AlertResult{}, Ignored: len(alerts)}
	for _, a := range alerts {
		out.Alerts = append(out.Alerts, deploy.AlertResult{Alert: a.Name(), Fingerprint: a.Fingerprint, Outcome: towpath.AlertIgnored})
	}
	return out, nil
}

func (s deploys) Repair(ctx context.Context, actor towpath.Actor, r deploy.RepairRequest) (towpath.Deployment, error) {
	if err := s.w.enter(ctx, actor, "deploys.Repair"); err != nil {
		return towpath.Deployment{}, err
	}
	defer s.w.mu.Unlock()
	d := s.w.Deployments[0]
	d.Environment, d.Kind, d.Cause = r.Environment, towpath.DeploymentRepair, r.Reason
	return d, nil
}

func (s deploys) Steer(ctx context.Context, actor towpath.Actor, r deploy.SteerRequest) (towpath.Deployment, error) {
	if err := s.w.enter(ctx, actor, "deploys.Steer"); err != nil {
		return towpath.Deployment{}, err
	}
	defer s.w.mu.Unlock()
	d := s.w.Deployments[0]
	d.Environment, d.Waiting = r.Environment, string(r.Action)+": "+r.Reason
	return d, nil
}

func (s deploys) Analysis(ctx context.Context, actor towpath.Actor, _ towpath.DeploymentID, _ towpath.ComponentName) (analysis.Judgement, error) {
	if err := s.w.enter(ctx, actor, "deploys.Analysis"); err != nil {
		return analysis.Judgement{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Judged, nil
}

func (s deploys) ExperimentOf(ctx context.Context, actor towpath.Actor, _ towpath.DeploymentID) (deploy.ExperimentRecord, error) {
	if err := s.w.enter(ctx, actor, "deploys.ExperimentOf"); err != nil {
		return deploy.ExperimentRecord{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Experiment, nil
}

func (s deploys) Experiments(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ towpath.EnvironmentName, _ int) (deploy.ExperimentList, error) {
	if err := s.w.enter(ctx, actor, "deploys.Experiments"); err != nil {
		return deploy.ExperimentList{}, err
	}
	defer s.w.mu.Unlock()
	return deploy.ExperimentList{Items: []deploy.Experiment{s.w.Experiment.Experiment}}, nil
}

func (s deploys) Winner(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, _ towpath.EnvironmentName) (deploy.Experiment, error) {
	if err := s.w.enter(ctx, actor, "deploys.Winner"); err != nil {
		return deploy.Experiment{}, err
	}
	defer s.w.mu.Unlock()
	return s.w.Experiment.Experiment, nil
}

func (s deploys) Verify(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) (deploy.Verification, error) {
	if err := s.w.enter(ctx, actor, "deploys.Verify"); err != nil {
		return deploy.Verification{}, err
	}
	defer s.w.mu.Unlock()
	out := s.w.Verification
	out.Project, out.Environment, out.Done, out.Passed = p, e, false, false
	return out, nil
}

func (s deploys) Verification(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, id towpath.PromotionID) (deploy.Verification, error) {
	if err := s.w.enter(ctx, actor, "deploys.Verification"); err != nil {
		return deploy.Verification{}, err
	}
	defer s.w.mu.Unlock()
	out := s.w.Verification
	if out.ID != id {
		return out, towpath.E(towpath.KindNotFound, "environment.verify", "%s has no such verification", e).On(string(id))
	}
	out.Project, out.Environment = p, e
	return out, nil
}

func (s deploys) Get(ctx context.Context, actor towpath.Actor, id towpath.DeploymentID) (towpath.Deployment, error) {
	if err := s.w.enter(ctx, actor, "deploys.Get"); err != nil {
		return towpath.Deployment{}, err
	}
	defer s.w.mu.Unlock()
	return find(s.w.Deployments, "deployment", string(id), func(d towpath.Deployment) bool { return d.ID == id })
}

func (s deploys) List(ctx context.Context, actor towpath.Actor, f deploy.Filter) (deploy.List, error) {
	if err := s.w.enter(ctx, actor, "deploys.List"); err != nil {
		return deploy.List{}, err
	}
	defer s.w.mu.Unlock()
	return deploy.List{Items: slices.DeleteFunc(slices.Clone(s.w.Deployments), func(d towpath.Deployment) bool {
		return f.Environment != "" && f.Environment != d.Environment
	})}, nil
}

func (s deploys) Resolve(ctx context.Context, actor towpath.Actor, _ towpath.OperationID, _ bool, _ string) error {
	if err := s.w.enter(ctx, actor, "deploys.Resolve"); err != nil {
		return err
	}
	defer s.w.mu.Unlock()
	return nil
}

type inventories struct{ w *World }

func (s inventories) Status(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, e towpath.EnvironmentName) ([]inventory.Status, error) {
	if err := s.w.enter(ctx, actor, "inventory.Status"); err != nil {
		return nil, err
	}
	defer s.w.mu.Unlock()
	var out []inventory.Status
	for _, x := range s.w.Status {
		if e == "" || x.Environment == e {
			out = append(out, x)
		}
	}
	if e != "" && len(out) == 0 {
		return nil, absent("environment", string(e))
	}
	return out, nil
}

func (s inventories) Drift(ctx context.Context, actor towpath.Actor, _ towpath.ProjectName, e towpath.EnvironmentName) (inventory.DriftReport, error) {
	if err := s.w.enter(ctx, actor, "inventory.Drift"); err != nil {
		return inventory.DriftReport{}, err
	}
	defer s.w.mu.Unlock()
	out := inventory.DriftReport{Components: []inventory.ComponentDrift{}}
	for _, x := range s.w.Drift.Components {
		if e == "" || x.Environment == e {
			out.Components = append(out.Components, x)
		}
	}
	return out, nil
}
