package release

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Pages of what is done in every project.
const (
	pageProjects    = 100 // that one transaction has looked at
	pageQuarantines = 100
)

// inEveryProject has each project looked at for a material. A project that comes
// while this is done compares what is published in it by itself.
func (l Materials) inEveryProject(ctx context.Context, material string, now time.Time) error {
	var projects []towpath.Project
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		projects, err = tx.Projects(ctx)
		return err
	})
	if err != nil {
		return err
	}
	for page := range slices.Chunk(projects, pageProjects) {
		err := l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			for _, p := range page {
				if err := tx.Enqueue(ctx, WorkMaterial, string(p.Name)+"/"+material, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// liftEverywhere lifts the releases of a project that were quarantined for a
// material that is not quarantined in every project any more. What somebody
// quarantined by hand on top of it stays so, as a matter of the project. One that
// can't be lifted now keeps no other waiting.
func (l Materials) liftEverywhere(ctx context.Context, p towpath.ProjectName, material string) error {
	after := towpath.Digest("")
	var later error
	for {
		var page []towpath.Quarantine
		var all []towpath.MaterialQuarantine
		err := l.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
			if all, err = tx.QuarantinedMaterials(ctx, p); err != nil {
				return err
			}
			page, err = tx.Quarantines(ctx, p, after, pageQuarantines)
			return err
		})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(q towpath.MaterialQuarantine) bool { return q.Project == "" && q.Material == material }) {
			return later
		}
		for _, q := range page {
			if !isFor(q.Cause, causeEverywhere(material)) {
				continue
			}
			if err := l.liftFor(ctx, p, q, all); err != nil {
				later = err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		if len(page) < pageQuarantines {
			return later
		}
		after = page[len(page)-1].Release
	}
}

// liftFor takes back what was said of a release by itself, unless it is made with
// something else that is quarantined.
func (s *Service) liftFor(ctx context.Context, p towpath.ProjectName, was towpath.Quarantine, all []towpath.MaterialQuarantine) error {
	other, err := s.other(ctx, p, was.Release, was.Cause, all)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := lockEnvironments(ctx, tx, p); err != nil {
			return err
		}
		have, err := tx.Quarantine(ctx, p, was.Release)
		if err != nil || have == nil || have.Cause != was.Cause {
			return err
		}
		if have.By != towpath.System().Account {
			have.Cause, have.Everywhere = "", false
			return tx.SetQuarantine(ctx, p, was.Release, have)
		}
		ev := towpath.NewEvent(now, string(towpath.System().Account), "release.unquarantined")
		ev.Project, ev.Subject, ev.Release = p, string(was.Release), was.Release
		ev.Reason = "what it was quarantined for is not quarantined any more"
		return lift(ctx, tx, p, was.Release, other, ev, now)
	})
}

// other is for what else a release is to be quarantined when one cause of that is
// gone: a material or a revoked key, before all one in every project; nil for
// nothing. Its error is that this can't be found out now, so that nobody lifts it.
func (s *Service) other(ctx context.Context, p towpath.ProjectName, d towpath.Digest, gone string, all []towpath.MaterialQuarantine) (*towpath.Quarantine, error) {
	var lifted []string
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		lifted, err = tx.LiftedQuarantines(ctx, p, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	lifted = append(lifted, gone)
	q, err := s.blame(ctx, p, d, all, lifted)
	if err == nil && (q == nil || !q.Everywhere) && s.cfg.Revoked != nil {
		var ofKey *towpath.Quarantine
		ofKey, err = s.cfg.Revoked(ctx, p, d, lifted)
		if ofKey != nil && (q == nil || ofKey.Everywhere) {
			q = ofKey
		}
	}
	if towpath.KindOf(err) == towpath.KindUnavailable {
		why, _ := towpath.PublicMessage(err)
		err = towpath.E(towpath.KindUnavailable, "release.unquarantine", "it can't be found out now for what else it is to be quarantined: %s", why).On(string(d)).
			WithHint("it stays quarantined; repeat the command when what is missing can be read").WithCause(err)
	}
	return q, err
}

// lift lifts a release's quarantine, unless for another one.
func lift(ctx context.Context, tx Tx, p towpath.ProjectName, d towpath.Digest, other *towpath.Quarantine, ev towpath.Event, now time.Time) error {
	if err := changeQuarantine(ctx, tx, p, d, nil, ev, now); err != nil {
		return err
	}
	if other != nil {
		if err := quarantineFor(ctx, tx, p, *other, now); err != nil {
			return err
		}
	}
	return tx.WakeExaminations(ctx, p, d, now)
}
