package run

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Recover compares the world with what the operation wanted. Every verb of this
// kind may be run again, so what is not done has not started, and neither has
// what brings instances to numbers or has jobs; nothing is ever unknown.
func (r *Runner) Recover(ctx context.Context, w kind.Work) (kind.Recovery, error) {
	op := w.Operation
	unlock, err := r.lock(ctx, op.Target)
	if err != nil {
		return "", err
	}
	defer unlock()
	rec, err := r.loadTarget(op.Target)
	if err != nil {
		return "", err
	}
	var done bool
	if op.Spec.Scale != nil || op.Spec.Keep > 0 {
		return kind.RecoveredNotStarted, nil
	}
	switch op.Verb {
	case towpath.VerbPrepare:
		if done, err = r.prepared(ctx, rec, op.Spec.Revision); done && err == nil {
			done, err = r.shown(ctx, rec, op)
		}
	case towpath.VerbShift:
		if len(rec.Revisions[op.Spec.Revision].Spec.Verify.Step) == 0 { // whose end nobody knows
			done, err = r.shifted(ctx, rec, op)
		}
	case towpath.VerbSwitch:
		done, err = r.switched(ctx, rec, op.Spec.Revision)
	case towpath.VerbRestore:
		if done, err = r.prepared(ctx, rec, op.Spec.Revision); done && err == nil {
			done, err = r.switched(ctx, rec, op.Spec.Revision)
		}
	case towpath.VerbRepair:
		done, err = r.repaired(ctx, rec, op)
	case towpath.VerbRetire:
		if _, known := rec.Revisions[op.Spec.Revision]; known && len(rec.Revisions) == 1 {
			done, err = r.pruned(ctx, rec)
		}
	case towpath.VerbRemove:
		var rt *route.RouteStatus
		rt, err = r.routeOf(ctx, rec.Target)
		done = rt == nil && len(rec.Revisions) == 0
	}
	if err != nil || !done {
		return kind.RecoveredNotStarted, err
	}
	return kind.RecoveredDone, nil
}

// prepared reports whether every instance that its spec wants of a revision runs and is
// healthy, for longer than it is kept.
func (r *Runner) prepared(ctx context.Context, rec *target, rev towpath.RevisionID) (bool, error) {
	spec, known := rec.Revisions[rev]
	if !known || spec.Only != nil || spec.Kept != nil {
		return false, nil
	}
	for _, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil || !in.ready() || r.healthy(ctx, in.record.address(), spec.Spec) != nil {
			return false, err
		}
	}
	return true, nil
}

// switched reports whether all of the traffic goes to the revision as it runs now.
func (r *Runner) switched(ctx context.Context, rec *target, rev towpath.RevisionID) (bool, error) {
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil || rt == nil || rt.Traffic.Revision != rev || len(rt.Traffic.Others) > 0 {
		return false, err
	}
	return r.runs(rec, rev, rt.Traffic.Instances)
}

// pruned reports whether a target answers on no address but the one of what has the
// traffic, and on no preview.
func (r *Runner) pruned(ctx context.Context, rec *target) (bool, error) {
	preview, err := r.previewRouteOf(ctx, rec.Target)
	if err != nil || preview != nil {
		return false, err
	}
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil || rt == nil || rt.Traffic.Listen == "" {
		return err == nil, err
	}
	return !slices.ContainsFunc(rt.Listeners, func(l route.Listener) bool { return l.Listen != rt.Traffic.Listen }), nil
}

// routeOf is the target's route, nil when it has none. It starts the router if
// none runs: it knows the routes from its folder.
func (r *Runner) routeOf(ctx context.Context, t towpath.Target) (*route.RouteStatus, error) {
	if err := r.router.Ensure(ctx); err != nil {
		return nil, err
	}
	st, err := r.router.Status(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(st.Routes, func(x route.RouteStatus) bool { return x.Name == t.Key() && !x.Removed })
	if i < 0 {
		return nil, nil
	}
	return &st.Routes[i], nil
}
