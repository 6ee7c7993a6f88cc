package run

import (
	"context"
	"slices"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Retire drains and stops every revision but this one, which must have the
// traffic, and the one that is kept to go back to from it. Requests that outlast the drain are cut off.
func (r *Runner) Retire(ctx context.Context, w kind.Work) error {
	op := w.Operation
	unlock, err := r.lock(ctx, op.Target)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := r.loadTarget(op.Target)
	if err != nil {
		return err
	}
	if err := r.router.Ensure(ctx); err != nil {
		return err
	}
	st, err := r.router.Status(ctx)
	if err != nil {
		return err
	}
	rt, _ := st.Find(op.Target.Key())
	if rt.Traffic.Revision != op.Spec.Revision {
		return towpath.E(towpath.KindConflict, "process.retire", "the traffic is on revision %q; the others can't be retired", rt.Traffic.Revision).
			On(op.Target.Key()).WithHint("switch to %s first", op.Spec.Revision)
	}
	if err := r.closePreview(ctx, op); err != nil {
		return err
	}
	if err := r.keepFor(rec, op); err != nil {
		return err
	}
	gone := slices.DeleteFunc(rec.others(op.Spec.Revision), func(id towpath.RevisionID) bool {
		k := rec.Revisions[id].Kept
		return k != nil && k.Beside == op.Spec.Revision
	})
	if len(gone) > 0 {
		if err := r.drainAndStop(ctx, w, rec, gone); err != nil {
			return err
		}
	}
	if rt.Traffic.Listen == "" {
		return nil
	}
	_, err = r.router.Apply(ctx, route.Change{
		Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{rt.Traffic.Listen}, Prune: true,
	})
	return err
}

// Remove takes the address down, then drains and stops every revision.
func (r *Runner) Remove(ctx context.Context, w kind.Work) error {
	op := w.Operation
	unlock, err := r.lock(ctx, op.Target)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := r.loadTarget(op.Target)
	if err != nil {
		return err
	}
	if _, err := r.router.Apply(ctx, route.Change{Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Remove: true}); err != nil {
		return err
	}
	if err := r.closePreview(ctx, op); err != nil {
		return err
	}
	if err := r.drainAndStop(ctx, w, rec, rec.others("")); err != nil {
		return err
	}
	return r.forgetTarget(op.Target)
}
