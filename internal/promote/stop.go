package promote

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Hold stops automatic promotion into an environment until Unhold.
func (s *Service) Hold(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, reason string) error {
	if reason == "" {
		return towpath.E(towpath.KindInvalid, "environment.hold", "a hold needs a reason").WithHint("say why with --reason")
	}
	now := s.cfg.Now()
	return s.setHold(ctx, actor, p, e, &towpath.Hold{Reason: reason, By: string(actor.Account), At: now}, reason, "environment.held", now)
}

// Unhold lets automatic promotion go on.
func (s *Service) Unhold(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, reason string) error {
	return s.setHold(ctx, actor, p, e, nil, reason, "environment.unheld", s.cfg.Now())
}

func (s *Service) setHold(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, hold *towpath.Hold, reason, action string, now time.Time) error {
	if err := access.Check(actor, access.Hold, access.Subject{Project: p, Environment: e}); err != nil {
		return err
	}
	ev := towpath.NewEvent(now, string(actor.Account), action)
	ev.Project, ev.Environment, ev.Subject, ev.Reason, ev.RequestID = p, e, string(e), reason, actor.RequestID
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.LockEnvironment(ctx, p, e)
		if err != nil {
			return noEnvironment(ctx, tx, action, p, e, err)
		}
		if env.Hold == nil && hold == nil {
			return towpath.E(towpath.KindConflict, "environment.unhold", "%s is not on hold", e)
		}
		env.Hold = hold
		if err := tx.SaveEnvironment(ctx, env); err != nil {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		return s.rejudge(ctx, tx, p, e, now)
	})
}

// Open lets an environment run in its place, by the rules that a release proposed
// and that the actor has seen: their policy version. What is open stays open.
func (s *Service) Open(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, seen towpath.Digest) error {
	const op = "environment.open"
	now := s.cfg.Now()
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: p, Environment: e}); err != nil {
			return err
		}
		env, err := tx.LockEnvironment(ctx, p, e)
		if err != nil {
			return noEnvironment(ctx, tx, op, p, e, err)
		}
		if err := access.Check(actor, access.EnvironmentOpen, access.Subject{Project: p, Environment: e, Place: env.Rules.Place}); err != nil {
			return err
		}
		if env.Open() {
			return nil
		}
		if seen != env.PolicyVersion {
			return towpath.E(towpath.KindConflict, op, "the rules of %s are others than those that you saw: a release has proposed new ones", e).
				WithHint("look at them and open it again: `towpath open %s`", e)
		}
		env.Opened = &towpath.Opening{Place: env.Rules.Place, By: actor.Account, At: now}
		if err := tx.SaveEnvironment(ctx, env); err != nil {
			return err
		}
		ev := towpath.NewEvent(now, string(actor.Account), "environment.opened")
		ev.Project, ev.Environment, ev.Subject, ev.RequestID = p, e, string(env.PolicyVersion), actor.RequestID
		ev.Reason = "in place " + string(env.Rules.Place)
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		return s.rejudge(ctx, tx, p, e, now)
	})
}

// rejudge wakes everything that waits to get into an environment.
func (s *Service) rejudge(ctx context.Context, tx Tx, p towpath.ProjectName, e towpath.EnvironmentName, now time.Time) error {
	open, err := tx.OpenPromotions(ctx, p, e)
	if err != nil {
		return err
	}
	for _, o := range open {
		if err := tx.Enqueue(ctx, WorkPromotion, string(o.ID), now); err != nil {
			return err
		}
	}
	return tx.Enqueue(ctx, WorkEnvironment, environmentKey(p, e), now)
}

// Freeze stops promotions; an emergency stop of all projects has none. It
// never stops a rollback.
func (s *Service) Freeze(ctx context.Context, actor towpath.Actor, r FreezeRequest) (towpath.Freeze, error) {
	const op = "freeze.create"
	if err := access.Check(actor, access.Freeze, access.Subject{Project: r.Project, Environment: r.Environment}); err != nil {
		return towpath.Freeze{}, err
	}
	now := s.cfg.Now()
	from := r.From
	if from.IsZero() {
		from = now
	}
	switch {
	case r.Reason == "":
		return towpath.Freeze{}, towpath.E(towpath.KindInvalid, op, "a freeze needs a reason").WithHint("say why with --reason")
	case !r.Until.IsZero() && !r.Until.After(from):
		return towpath.Freeze{}, towpath.E(towpath.KindInvalid, op, "the freeze would end before it begins")
	case r.Project == "" && !r.Emergency:
		return towpath.Freeze{}, towpath.E(towpath.KindInvalid, op, "only an emergency stop holds for all projects").
			WithHint("name a project, or use --emergency")
	}
	f := towpath.Freeze{
		ID: towpath.NewID[towpath.FreezeID]("frz", now), Project: r.Project, Environment: r.Environment, Reason: r.Reason,
		By: actor.Account, From: from, Until: r.Until, Emergency: r.Emergency,
	}
	return f, s.changeFreeze(ctx, actor, f, "freeze.created", r.Reason, now, func(ctx context.Context, tx Tx) error {
		if r.Environment != "" {
			if _, err := tx.Environment(ctx, r.Project, r.Environment); err != nil {
				return noEnvironment(ctx, tx, op, r.Project, r.Environment, err)
			}
		}
		return tx.InsertFreeze(ctx, f)
	})
}

// Unfreeze lifts a freeze.
func (s *Service) Unfreeze(ctx context.Context, actor towpath.Actor, id towpath.FreezeID, reason string) error {
	var f towpath.Freeze
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		f, err = tx.Freeze(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	if err := access.Check(actor, access.Freeze, access.Subject{Project: f.Project, Environment: f.Environment}); err != nil {
		return err
	}
	return s.changeFreeze(ctx, actor, f, "freeze.lifted", reason, s.cfg.Now(), func(ctx context.Context, tx Tx) error {
		return tx.LiftFreeze(ctx, id)
	})
}

func (s *Service) changeFreeze(ctx context.Context, actor towpath.Actor, f towpath.Freeze, action, reason string, now time.Time, change func(context.Context, Tx) error) error {
	ev := towpath.NewEvent(now, string(actor.Account), action)
	ev.Project, ev.Environment, ev.Subject, ev.Reason, ev.RequestID = f.Project, f.Environment, string(f.ID), reason, actor.RequestID
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		envs, err := hold(ctx, tx, f.Project)
		if err != nil {
			return err
		}
		if err := change(ctx, tx); err != nil {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		for _, e := range envs {
			if err := s.rejudge(ctx, tx, e.Project, e.Name, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// hold locks the environments of a project, or of all, always in one order and
// before anything is written: what is about to be deployed is, or sees what is
// changed here.
func hold(ctx context.Context, tx Tx, only towpath.ProjectName) ([]towpath.Environment, error) {
	projects, err := tx.Projects(ctx)
	if err != nil {
		return nil, err
	}
	var out []towpath.Environment
	for _, p := range projects {
		if only != "" && only != p.Name {
			continue
		}
		envs, err := tx.Environments(ctx, p.Name)
		if err != nil {
			return nil, err
		}
		for _, e := range envs {
			if e, err = tx.LockEnvironment(ctx, p.Name, e.Name); err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// Freezes lists the freezes that have not been lifted.
func (s *Service) Freezes(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]towpath.Freeze, error) {
	if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: p}); err != nil {
		return nil, err
	}
	var out []towpath.Freeze
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		out, err = tx.Freezes(ctx, p)
		return err
	})
	return out, err
}

// PostCheck keeps the status of an external check of a candidate. The last
// one posted under a key counts.
func (s *Service) PostCheck(ctx context.Context, actor towpath.Actor, r CheckRequest) (towpath.Check, error) {
	const op = "check.post"
	if err := access.Check(actor, access.CheckPost, access.Subject{Project: r.Project, Environment: r.Environment}); err != nil {
		return towpath.Check{}, err
	}
	switch r.State {
	case towpath.CheckPending, towpath.CheckSuccess, towpath.CheckFailure, towpath.CheckError:
	default:
		return towpath.Check{}, towpath.E(towpath.KindInvalid, op, "%q is no state of a check", r.State).
			WithHint("one of pending, success, failure, error")
	}
	if r.Key == "" || len(r.Key) > 200 {
		return towpath.Check{}, towpath.E(towpath.KindInvalid, op, "a check has a key of 1 to 200 characters").WithHint("for example ci/load-test")
	}
	now := s.cfg.Now()
	ev := towpath.NewEvent(now, string(actor.Account), "check.posted")
	ev.Project, ev.Environment, ev.Reason, ev.RequestID = r.Project, r.Environment, r.Key+": "+string(r.State), actor.RequestID
	var check towpath.Check
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		c, err := find(ctx, tx, r.Project, r.Release)
		if err != nil {
			return err
		}
		check = towpath.Check{
			Project: r.Project, Candidate: c.ID, Environment: r.Environment, Key: r.Key, State: r.State,
			URL: r.URL, Description: r.Description, By: actor.Account, At: now,
		}
		if err := tx.SaveCheck(ctx, check); err != nil {
			return err
		}
		ev := ev
		ev.Subject, ev.Release = string(c.ID), c.Release
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		envs, err := tx.Environments(ctx, r.Project)
		if err != nil {
			return err
		}
		for _, e := range envs {
			if err := s.rejudge(ctx, tx, r.Project, e.Name, now); err != nil {
				return err
			}
		}
		return nil
	})
	return check, err
}
