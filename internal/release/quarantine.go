package release

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Quarantine revokes a release everywhere: no gate passes it and no rollback
// goes to it. What is on its way to it goes back; what runs it goes on running
// and is flagged.
func (s *Service) Quarantine(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name, reason string) (towpath.Release, error) {
	if reason == "" {
		return towpath.Release{}, towpath.E(towpath.KindInvalid, "release.quarantine", "a quarantine needs a reason").
			WithHint("say why with --reason: people will read it at night")
	}
	return s.setQuarantine(ctx, actor, p, name, "release.quarantined", reason, func(ctx context.Context, tx Tx, have *towpath.Quarantine, ev towpath.Event) error {
		q := towpath.Quarantine{Release: ev.Release, Reason: reason, By: actor.Account, At: ev.At}
		if have != nil { // said by hand on top: it still needs whoever may lift what is beneath
			q.Cause, q.Everywhere = have.Cause, have.Everywhere
		}
		return changeQuarantine(ctx, tx, p, ev.Release, &q, ev, ev.At)
	})
}

// Unquarantine lifts a quarantine; that there is none is not found. A release
// that is to be quarantined for something else too is so at once.
func (s *Service) Unquarantine(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name, reason string) (towpath.Release, error) {
	if err := access.Check(actor, access.Quarantine, access.Subject{Project: p}); err != nil {
		return towpath.Release{}, err
	}
	var was *towpath.Quarantine
	var all []towpath.MaterialQuarantine
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		c, err := find(ctx, tx, p, name)
		if err != nil {
			return err
		}
		if was, err = tx.Quarantine(ctx, p, c.Release); err != nil {
			return err
		}
		if was == nil {
			return towpath.E(towpath.KindNotFound, "release.unquarantine", "%s is not quarantined", c.Version).On(string(c.Release)).
				WithHint("there is nothing to lift; `towpath quarantine list` shows quarantined materials, which are lifted with --material")
		}
		if was.Everywhere {
			if err := access.Check(actor, access.QuarantineAll, access.Subject{}); err != nil {
				return err
			}
		}
		all, err = tx.QuarantinedMaterials(ctx, p)
		return err
	})
	if err != nil {
		return towpath.Release{}, err
	}
	other, err := s.other(ctx, p, was.Release, was.Cause, all)
	if err != nil {
		return towpath.Release{}, err
	}
	return s.setQuarantine(ctx, actor, p, name, "release.unquarantined", reason, func(ctx context.Context, tx Tx, have *towpath.Quarantine, ev towpath.Event) error {
		if !same(was, have) {
			now := "it is not quarantined any more"
			if have != nil {
				now = "it is quarantined otherwise: " + have.Reason
			}
			return towpath.E(towpath.KindConflict, "release.unquarantine", "the quarantine changed in the meantime, and %s", now).On(string(ev.Release)).
				WithHint("look at it again and repeat the command")
		}
		return lift(ctx, tx, p, ev.Release, other, ev, ev.At)
	})
}

// same reports whether nobody has changed a quarantine.
func same(was, have *towpath.Quarantine) bool {
	if was == nil || have == nil {
		return was == have
	}
	a, b := *was, *have
	a.At, b.At = a.At.UTC(), b.At.UTC()
	return a == b
}

// setQuarantine changes the quarantine of the release that a name means. What f
// gets is what it has, and the event to record.
func (s *Service) setQuarantine(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name, action, reason string,
	f func(ctx context.Context, tx Tx, have *towpath.Quarantine, ev towpath.Event) error,
) (towpath.Release, error) {
	if err := access.Check(actor, access.Quarantine, access.Subject{Project: p}); err != nil {
		return towpath.Release{}, err
	}
	ev := towpath.NewEvent(s.cfg.Now(), string(actor.Account), action)
	ev.Project, ev.Reason, ev.RequestID = p, reason, actor.RequestID
	var out towpath.Release
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		c, err := find(ctx, tx, p, name)
		if err != nil {
			return err
		}
		if _, err := lockEnvironments(ctx, tx, p); err != nil {
			return err
		}
		have, err := tx.Quarantine(ctx, p, c.Release)
		if err != nil {
			return err
		}
		ev := ev
		ev.Subject, ev.Release = string(c.Release), c.Release
		if err := f(ctx, tx, have, ev); err != nil {
			return err
		}
		out, err = s.read(ctx, tx, p, c.Release)
		return err
	})
	return out, err
}

// changeQuarantine quarantines a release, or with nil lifts that, and has
// everything looked at that judged it otherwise. It holds every environment of
// the project to the end of the transaction, as does who lets a release in: one
// of them sees what the other did.
func changeQuarantine(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest, q *towpath.Quarantine, ev towpath.Event, now time.Time) error {
	environments, err := lockEnvironments(ctx, tx, p)
	if err != nil {
		return err
	}
	if err := tx.SetQuarantine(ctx, p, d, q); err != nil {
		return err
	}
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	for _, e := range environments {
		if err := tx.Enqueue(ctx, WorkEnvironment, string(p)+"/"+string(e.Name), now); err != nil {
			return err
		}
		if e.Active == "" {
			continue
		}
		if err := tx.Enqueue(ctx, WorkDeployment, string(e.Active), now); err != nil {
			return err
		}
	}
	return nil
}

// lockEnvironments holds every environment of a project to the end of the
// transaction. Nobody else changes a quarantine of it then.
func lockEnvironments(ctx context.Context, tx Tx, p towpath.ProjectName) ([]towpath.Environment, error) {
	environments, err := tx.Environments(ctx, p)
	if err != nil {
		return nil, err
	}
	for i, e := range environments {
		if environments[i], err = tx.LockEnvironment(ctx, p, e.Name); err != nil {
			return nil, err
		}
	}
	return environments, nil
}
