package promote

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/towpath"
)

// Evidence is [Service.Preview] for who wants to know whether a release is what
// an environment's rules ask for: the verdicts of the gates that judge what is
// said about it ([towpath.EvidenceGates]), and nothing else. No agent is asked
// for a plan, and whoever may read releases may ask.
func (s *Service) Evidence(ctx context.Context, actor towpath.Actor, r Request) (Preview, error) {
	if err := access.Check(actor, access.ReleaseRead, access.Subject{Project: r.Project}); err != nil {
		return Preview{}, err
	}
	now := s.cfg.Now()
	c, env, err := s.meant(ctx, r)
	if err != nil {
		return Preview{}, err
	}
	in, err := s.evidence(ctx, newPromotion(towpath.NewID[towpath.PromotionID]("prv", now), c, env, towpath.PromotionManual, actor.Account, now), now)
	if err != nil {
		return Preview{}, err
	}
	verdicts := slices.DeleteFunc(gate.Judge(in), func(v towpath.Verdict) bool { return !slices.Contains(towpath.EvidenceGates(), v.Gate) })
	return Preview{
		Project: r.Project, Environment: r.Environment, Candidate: c, Verdicts: verdicts,
		Outcome: gate.Summarise(verdicts), PolicyVersion: env.PolicyVersion,
	}, nil
}

// meant is the candidate and the environment that a request names.
func (s *Service) meant(ctx context.Context, r Request) (c towpath.Candidate, env towpath.Environment, err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if c, err = find(ctx, tx, r.Project, r.Release); err != nil {
			return err
		}
		if env, err = tx.Environment(ctx, r.Project, r.Environment); err != nil {
			return noEnvironment(ctx, tx, "promotion.request", r.Project, r.Environment, err)
		}
		return nil
	})
	return c, env, err
}
