package promote

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Request asks for a release to be promoted into an environment. Asking for
// what is under way already returns that promotion, which is the actor's then.
func (s *Service) Request(ctx context.Context, actor towpath.Actor, r Request) (towpath.Promotion, error) {
	subject := access.Subject{Project: r.Project, Environment: r.Environment}
	if err := access.Check(actor, access.PromotionRequest, subject); err != nil {
		return towpath.Promotion{}, err
	}
	if err := checkExperiment(r.Experiment, s.cfg.QueryProblem); err != nil {
		return towpath.Promotion{}, err
	}
	now := s.cfg.Now()
	id := towpath.NewID[towpath.PromotionID]("prm", now)
	var out towpath.Promotion
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		out, _, err = s.request(ctx, tx, actor, r, id, now)
		return err
	})
	failpoint.Hit("promotion.requested")
	return out, err
}

// request is [Service.Request] in a transaction. It returns what else was open
// in the environment as well.
func (s *Service) request(ctx context.Context, tx Tx, actor towpath.Actor, r Request, id towpath.PromotionID, now time.Time) (out towpath.Promotion, open []towpath.Promotion, err error) {
	c, err := find(ctx, tx, r.Project, r.Release)
	if err != nil {
		return out, nil, err
	}
	env, err := tx.LockEnvironment(ctx, r.Project, r.Environment)
	if err != nil {
		return out, nil, noEnvironment(ctx, tx, "promotion.request", r.Project, r.Environment, err)
	}
	gone, err := tx.Collected(ctx, c.Project, c.Release)
	if err != nil {
		return out, nil, err
	}
	if gone {
		return out, nil, towpath.E(towpath.KindConflict, "promotion.request", "the files of %s were given up by retention", c.Version).
			WithHint("build the commit again: `towpath release build --ref %s`", c.Commit)
	}
	if env.Candidate == c.ID && env.Active == "" {
		return out, nil, runsAlready(ctx, tx, env)
	}
	if open, err = tx.OpenPromotions(ctx, r.Project, r.Environment); err != nil {
		return out, nil, err
	}
	for _, p := range open {
		if p.Candidate == c.ID && p.Experiment == nil && r.Experiment == nil {
			out, err = s.takeOver(ctx, tx, actor, p.ID, r.compared, now)
			return out, open, err
		}
	}
	if r.Experiment != nil {
		if err := s.mayCompare(ctx, tx, env, c, open, r.Experiment); err != nil {
			return out, nil, err
		}
	}
	out = newPromotion(id, c, env, towpath.PromotionManual, actor.Account, now)
	out.Experiment, out.Compared = r.Experiment, r.compared
	return out, open, s.open(ctx, tx, actor, out, now)
}

// runsAlready says that an environment runs already what it is asked to run, as far
// as that is certain: what a deployment left in doubt a rollback brings back.
func runsAlready(ctx context.Context, tx Tx, env towpath.Environment) error {
	const op = "promotion.request"
	running, err := tx.Running(ctx, env.Project, env.Name)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(running, func(r rollout.Running) bool { return r.Unsure }) {
		return towpath.E(towpath.KindConflict, op, "%s is to run %s already, and a deployment left in doubt whether it does", env.Name, env.Version).
			WithHint("`towpath rollback %s` brings it back", env.Name)
	}
	return towpath.E(towpath.KindConflict, op, "%s runs %s already", env.Name, env.Version)
}

// takeOver makes an automatic promotion that waits the actor's own: a hold
// stops what Towpath does by itself, not what a person asks for.
func (s *Service) takeOver(ctx context.Context, tx Tx, actor towpath.Actor, id towpath.PromotionID, compared *towpath.Compared, now time.Time) (towpath.Promotion, error) {
	p, err := tx.LockPromotion(ctx, id)
	if err != nil || p.Mode != towpath.PromotionAutomatic || p.Phase == towpath.PromotionDeploying {
		return p, err
	}
	p.Mode, p.RequestedBy, p.UpdatedAt = towpath.PromotionManual, actor.Account, now
	p.Compared = compared
	if p.Phase == towpath.PromotionWaiting {
		// What the gates said of the automatic one is not said of this one.
		p.Verdicts, p.Reason = nil, "the gates judge"
	}
	if err := tx.SavePromotion(ctx, p); err != nil {
		return p, err
	}
	ev := event(p, actor, "promotion.taken-over", now)
	ev.Reason = p.Version
	if err := tx.Record(ctx, ev); err != nil {
		return p, err
	}
	return p, tx.Enqueue(ctx, WorkPromotion, string(id), now)
}

// find is the candidate that a name means.
func find(ctx context.Context, tx Tx, p towpath.ProjectName, name string) (towpath.Candidate, error) {
	found, err := tx.FindCandidates(ctx, p, name, towpath.MaxMeanings)
	if err != nil {
		return towpath.Candidate{}, err
	}
	return towpath.ChooseCandidate(p, name, found)
}

func newPromotion(id towpath.PromotionID, c towpath.Candidate, env towpath.Environment, mode towpath.PromotionMode, by towpath.AccountName, now time.Time) towpath.Promotion {
	return towpath.Promotion{
		ID: id, Project: env.Project, Environment: env.Name, Candidate: c.ID, Release: c.Release, Version: c.Version,
		Commit: c.Commit, Mode: mode, RequestedBy: by, RequestedAt: now, Phase: towpath.PromotionPlanning,
		PolicyVersion: env.PolicyVersion, UpdatedAt: now,
	}
}

// open writes a new promotion and starts its loop.
func (s *Service) open(ctx context.Context, tx Tx, actor towpath.Actor, p towpath.Promotion, now time.Time) error {
	if err := tx.InsertPromotion(ctx, p); err != nil {
		return err
	}
	ev := event(p, actor, "promotion.requested", now)
	ev.Reason = p.Version
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkPromotion, string(p.ID), now)
}

// noEnvironment adds the names there are to a not-found.
func noEnvironment(ctx context.Context, tx Tx, op string, p towpath.ProjectName, e towpath.EnvironmentName, err error) error {
	if towpath.KindOf(err) != towpath.KindNotFound {
		return err
	}
	all, listErr := tx.Environments(ctx, p)
	if listErr != nil {
		return err
	}
	names := ""
	for _, e := range all {
		names += " " + string(e.Name)
	}
	return towpath.E(towpath.KindNotFound, op, "project %s has no environment %q", p, e).
		WithHint("its environments are:%s", names)
}

// Preview says what a promotion would meet and do: every gate's verdict and
// the exact plan. It changes nothing and leaves no promotion.
func (s *Service) Preview(ctx context.Context, actor towpath.Actor, r Request) (Preview, error) {
	subject := access.Subject{Project: r.Project, Environment: r.Environment}
	if err := access.Check(actor, access.PlanRequest, subject); err != nil {
		return Preview{}, err
	}
	now := s.cfg.Now()
	c, env, err := s.meant(ctx, r)
	if err != nil {
		return Preview{}, err
	}
	if why, hint := closed(env); why != "" {
		return Preview{}, towpath.E(towpath.KindConflict, "promotion.plan", "%s", why).WithHint("%s", hint)
	}
	p := newPromotion(towpath.NewID[towpath.PromotionID]("prv", now), c, env, towpath.PromotionManual, actor.Account, now)
	if p.Plan, err = s.previewPlan(ctx, p, env); err != nil {
		return Preview{}, err
	}
	in, err := s.evidence(ctx, p, now)
	if err != nil {
		return Preview{}, err
	}
	content, err := s.contents.Content(ctx, r.Project, c.Release)
	if err != nil {
		return Preview{}, err
	}
	out := Preview{
		Project: r.Project, Environment: r.Environment, Place: env.Rules.Place, Candidate: c, Verdicts: gate.Judge(in),
		Plan: p.Plan, PolicyVersion: env.PolicyVersion,
	}
	for i := range out.Verdicts { // there is no promotion yet that could be named
		if v := &out.Verdicts[i]; v.Gate == towpath.GateApprovals && v.Outcome == towpath.Wait && p.Plan != nil {
			v.Hint = fmt.Sprintf("towpath promote %s --to %s asks for it; then somebody who is neither an author nor the promoter approves", c.Version, env.Name)
		}
	}
	out.Outcome = gate.Summarise(out.Verdicts)
	if proposed, ok := content.Environment(env.Name); ok {
		out.Loosens = gate.Loosens(env.Rules, proposed.Rules)
	}
	return out, nil
}

// previewPlan asks the agents and waits for them, for as long as a person
// would.
func (s *Service) previewPlan(ctx context.Context, p towpath.Promotion, env towpath.Environment) (*towpath.Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.PlanTimeout)
	defer cancel()
	content, err := s.contents.Content(ctx, p.Project, p.Release)
	if err != nil {
		return nil, err
	}
	for {
		next := s.cfg.Changed()
		var plan *towpath.Plan
		var failed, gone string
		done := false
		err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			running, err := tx.Running(ctx, p.Project, p.Environment)
			if err != nil {
				return err
			}
			want, err := planOperations(p.ID, env, p.Release, content, running, p.RequestedAt)
			if err != nil {
				return err
			}
			have, err := s.askForPlan(ctx, tx, p.ID, want)
			if err != nil {
				return err
			}
			plan, done, failed = planned(env.Release, want, have, p.RequestedAt)
			gone, err = absent(ctx, tx, env.Rules.Place, s.cfg.Now())
			return err
		})
		switch {
		case err != nil:
			return nil, err
		case failed != "":
			return nil, towpath.E(towpath.KindInvalid, "promotion.plan", "%s", failed)
		case done:
			return plan, nil
		case gone != "":
			return nil, towpath.E(towpath.KindUnavailable, "promotion.plan", "the plan can't be made: %s", gone).
				WithHint("start one with `towpath agent`, or `towpath dev` for everything")
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, towpath.E(towpath.KindUnavailable, "promotion.plan", "the agent of place %s did not answer within %s", env.Rules.Place, s.cfg.PlanTimeout).
				WithHint("look at the agent's log, then try again").WithCause(ctx.Err())
		}
	}
}

// Get reads a promotion.
func (s *Service) Get(ctx context.Context, actor towpath.Actor, id towpath.PromotionID) (towpath.Promotion, error) {
	var p towpath.Promotion
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if p, err = tx.Promotion(ctx, id); err != nil {
			return err
		}
		return access.Check(actor, access.EnvironmentRead, access.Subject{Project: p.Project, Environment: p.Environment})
	})
	if err != nil {
		return towpath.Promotion{}, err
	}
	return p, nil
}

// List reads a page of promotions, newest first.
func (s *Service) List(ctx context.Context, actor towpath.Actor, f Filter) (List, error) {
	if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: f.Project, Environment: f.Environment}); err != nil {
		return List{}, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 500)
	out := List{Items: []towpath.Promotion{}}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		items, err := tx.Promotions(ctx, f, limit+1)
		if err != nil {
			return err
		}
		out = List{Items: items}
		if len(items) > limit {
			out.Items, out.Next = items[:limit], string(items[limit-1].ID)
		}
		return nil
	})
	return out, err
}
