package deploy

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// MayRead is nil when an agent needs a blob: for an operation that it may work on
// and that has not ended, or as a part of what runs where it may work. Needed are
// the layer, the release with its content, and the evidence that an authorisation
// names.
func (s *Service) MayRead(ctx context.Context, actor towpath.Actor, blob towpath.Digest) error {
	const op = "agent.blob"
	needed := false
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		needed = false
		places, err := workplaces(ctx, tx, actor)
		if err != nil {
			return err
		}
		if needed, err = s.needed(ctx, tx, actor, places, blob); err != nil || needed {
			return err
		}
		releases, err := tx.ReleasesOf(ctx, blob)
		if err != nil {
			return err
		}
		if needed, err = neededIn(ctx, tx, actor, places, releases); err != nil || needed {
			return err
		}
		needed, err = runsFrom(ctx, tx, actor, places, blob, releases)
		return err
	})
	if err != nil || needed {
		return err
	}
	return towpath.E(towpath.KindForbidden, op, "no operation that %s may work on needs these files", actor.Account).On(string(blob)).
		WithHint("an agent reads what it is to run; `towpath account list` shows in which projects and places its account is one")
}

// workplaces are the places of agents in which an actor is one.
func workplaces(ctx context.Context, tx Tx, actor towpath.Actor) ([]towpath.PlaceName, error) {
	all, err := tx.Served(ctx)
	return slices.DeleteFunc(all, func(p towpath.PlaceName) bool {
		return access.Check(actor, access.AgentWork, access.Subject{Place: p}) != nil
	}), err
}

// needed reports whether an operation names a blob.
func (s *Service) needed(ctx context.Context, tx Tx, actor towpath.Actor, places []towpath.PlaceName, blob towpath.Digest) (bool, error) {
	ops, err := tx.OpenOperations(ctx, places, string(blob))
	if err != nil {
		return false, err
	}
	for _, op := range ops {
		switch {
		case !works(actor, op.Target):
		case blob == op.Spec.Layer, blob == op.Spec.Release, slices.Contains(s.signer.Bundles(op.Spec.Authorisation), blob):
			return true, nil
		}
	}
	return false, nil
}

// neededIn reports whether an operation is about one of the releases.
func neededIn(ctx context.Context, tx Tx, actor towpath.Actor, places []towpath.PlaceName, releases []towpath.Release) (bool, error) {
	for _, r := range releases {
		ops, err := tx.OpenOperations(ctx, places, string(r.Digest))
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(ops, func(op towpath.Operation) bool {
			return op.Spec.Release == r.Digest && op.Target.Project == r.Project && works(actor, op.Target)
		}) {
			return true, nil
		}
	}
	return false, nil
}

// runsFrom reports whether a blob, or what it is the content of, runs.
func runsFrom(ctx context.Context, tx Tx, actor towpath.Actor, places []towpath.PlaceName, blob towpath.Digest, releases []towpath.Release) (bool, error) {
	has := func(t towpath.Target, r rollout.Running) bool {
		return blob == r.Layer || blob == r.Release || slices.ContainsFunc(releases, func(x towpath.Release) bool {
			return x.Digest == r.Release && x.Project == t.Project
		})
	}
	for _, place := range places {
		all, err := tx.Placed(ctx, place)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(all, func(p Placed) bool { return has(p.Target, p.Running) && works(actor, p.Target) }) {
			return true, nil
		}
	}
	return false, nil
}
