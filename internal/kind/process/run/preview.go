package run

import (
	"context"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// previewRoute is the router's name for the address at which a target's next
// revision can be looked at.
func previewRoute(t towpath.Target) string { return t.Key() + "#preview" }

// openPreview shows a prepared revision at its address for that, if it has one.
// What comes back is known.
func (r *Runner) openPreview(ctx context.Context, w kind.Work, rec *target) error {
	op := w.Operation
	rev := rec.Revisions[op.Spec.Revision]
	if rev.Spec.Preview == "" || op.Verb != towpath.VerbPrepare {
		return nil
	}
	t, err := r.traffic(rec, op.Spec.Revision)
	if err != nil {
		return err
	}
	t.Listen, t.Deployment, t.Release = rev.Spec.Preview, op.Deployment, op.Spec.Release
	_, err = r.router.Apply(ctx, route.Change{
		Route: previewRoute(rec.Target), Fence: op.Fence, Operation: op.ID, Listen: []string{t.Listen}, Prune: true, Traffic: &t,
	})
	if towpath.KindOf(err) == towpath.KindConflict {
		m, hint := towpath.PublicMessage(err)
		return &kind.Failure{Message: m + "; " + hint}
	}
	return err
}

// shown reports whether a revision is to be seen at its preview as it runs now,
// if it has one.
func (r *Runner) shown(ctx context.Context, rec *target, op towpath.Operation) (bool, error) {
	if rec.Revisions[op.Spec.Revision].Spec.Preview == "" {
		return true, nil
	}
	rt, err := r.previewRouteOf(ctx, op.Target)
	if err != nil || rt == nil || rt.Traffic.Revision != op.Spec.Revision {
		return false, err
	}
	return r.runs(rec, op.Spec.Revision, rt.Traffic.Instances)
}

// previewRouteOf is the route of a target's preview, nil when it has none.
func (r *Runner) previewRouteOf(ctx context.Context, t towpath.Target) (*route.RouteStatus, error) {
	if err := r.router.Ensure(ctx); err != nil {
		return nil, err
	}
	st, err := r.router.Status(ctx)
	if err != nil {
		return nil, err
	}
	rt, open := st.Find(previewRoute(t))
	if !open {
		return nil, nil
	}
	return &rt, nil
}

// previewOf is the address at which an operation's revision is shown.
func (r *Runner) previewOf(ctx context.Context, op towpath.Operation) (string, error) {
	rt, err := r.previewRouteOf(ctx, op.Target)
	if err != nil {
		return "", err
	}
	if rt == nil || rt.Traffic.Revision != op.Spec.Revision {
		return "", towpath.E(towpath.KindConflict, "process.preview", "the revision is not shown at its preview").On(string(op.Spec.Revision)).
			WithHint("`towpath rollout abort`, then promote again")
	}
	if why := rt.Closed[rt.Traffic.Listen]; why != "" {
		return "", towpath.E(towpath.KindUnavailable, "process.preview", "%s: an answer would not be the release's", why).
			WithHint("stop the program that uses it; the router tries again")
	}
	return rt.Address(rt.Traffic.Listen), nil
}

// closePreview takes that address down.
func (r *Runner) closePreview(ctx context.Context, op towpath.Operation) error {
	rt, err := r.previewRouteOf(ctx, op.Target)
	if err != nil || rt == nil {
		return err
	}
	_, err = r.router.Apply(ctx, route.Change{Route: previewRoute(op.Target), Fence: op.Fence, Operation: op.ID, Remove: true})
	return err
}
