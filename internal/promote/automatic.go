package promote

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Environments is the loop that looks for something to promote into an
// environment.
type Environments struct{ *Service }

// Kind is the kind of work of the loop.
func (Environments) Kind() string { return WorkEnvironment }

// Reconcile asks for the promotion that an automatic environment wants, if
// any, takes the place of older ones that still wait, and wakes those that
// wait for their turn.
func (l Environments) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	project, name, _ := strings.Cut(key, "/")
	id := towpath.NewID[towpath.PromotionID]("prm", now)
	err := l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.LockEnvironment(ctx, towpath.ProjectName(project), towpath.EnvironmentName(name))
		if err != nil {
			return err
		}
		open, err := tx.OpenPromotions(ctx, env.Project, env.Name)
		if err != nil {
			return err
		}
		for _, p := range open {
			if err := tx.Enqueue(ctx, WorkPromotion, string(p.ID), now); err != nil {
				return err
			}
		}
		c, ok, err := wanted(ctx, tx, env)
		if err != nil || !ok {
			return err
		}
		return l.promote(ctx, tx, env, c, open, id, now)
	})
	failpoint.Hit("environment.offered")
	return reconcile.Done(), err
}

// promote opens an automatic promotion unless this candidate had one here: one whose
// place another candidate took counts for nothing, as what is wanted may go back.
func (l Environments) promote(ctx context.Context, tx Tx, env towpath.Environment, c towpath.Candidate, open []towpath.Promotion, id towpath.PromotionID, now time.Time) error {
	had, err := tx.PromotionsOf(ctx, env.Project, env.Name, c.ID)
	tried := slices.ContainsFunc(had, func(p towpath.Promotion) bool { return p.Phase != towpath.PromotionSuperseded })
	if err != nil || tried || env.Candidate == c.ID {
		return err
	}
	for _, p := range open {
		if p.Mode != towpath.PromotionAutomatic || p.Phase == towpath.PromotionDeploying {
			continue
		}
		older, err := tx.LockPromotion(ctx, p.ID)
		if err != nil {
			return err
		}
		if err := l.move(ctx, tx, &older, towpath.TriggerSupersede, "superseded by "+c.Version, now); err != nil {
			return err
		}
	}
	p := newPromotion(id, c, env, towpath.PromotionAutomatic, towpath.System().Account, now)
	return l.open(ctx, tx, towpath.System(), p, now)
}

// wanted is the candidate that an environment takes next by itself: what was
// built last from its own branch by a person's push, which asks for it also
// where promotion is manual; or what its upstream runs. A first environment
// without a branch takes the newest build.
func wanted(ctx context.Context, tx Tx, env towpath.Environment) (towpath.Candidate, bool, error) {
	if env.Rules.From == "" || env.Rules.Branch != "" {
		recent, err := tx.Candidates(ctx, env.Project, time.Time{}, "", 20)
		if err != nil {
			return towpath.Candidate{}, false, err
		}
		for _, c := range recent {
			pushed := c.Ref == env.Rules.Branch && c.Ref != "" // to its branch: a person asks
			if pushed || env.Rules.From == "" && env.Rules.Branch == "" {
				if !pushed && env.Rules.Promotion != towpath.PromotionAutomatic {
					break
				}
				if env.Rules.From == "" || c.Published.After(env.Since) {
					return c, true, nil
				}
				break
			}
		}
	}
	if env.Rules.From == "" || env.Rules.Promotion != towpath.PromotionAutomatic {
		return towpath.Candidate{}, false, nil
	}
	from, err := tx.Environment(ctx, env.Project, env.Rules.From)
	if err != nil || from.Candidate == "" || from.Active != "" {
		if towpath.KindOf(err) == towpath.KindNotFound {
			err = nil
		}
		return towpath.Candidate{}, false, err
	}
	runs, err := tx.RunsOf(ctx, env.Project, from.Name, from.Candidate)
	if err != nil || len(runs) == 0 || !runs[0].Verified {
		return towpath.Candidate{}, false, err
	}
	c, err := tx.Candidate(ctx, from.Candidate)
	return c, err == nil, err
}
