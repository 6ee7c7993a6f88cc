package run

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// keepFor has the revisions that an operation retires run on without traffic for
// as long as it says, but for those that were kept already: one way back is
// enough, the one from what replaced it.
func (r *Runner) keepFor(rec *target, op towpath.Operation) error {
	if op.Spec.Keep <= 0 {
		return nil
	}
	changed := false
	for _, id := range rec.others(op.Spec.Revision) {
		rev := rec.Revisions[id]
		if rev.Kept != nil || rev.Only != nil {
			continue
		}
		rev.Kept = &kept{Until: r.cfg.Now().Add(op.Spec.Keep), Beside: op.Spec.Revision}
		rec.Revisions[id], changed = rev, true
	}
	if !changed {
		return nil
	}
	return r.saveTarget(rec)
}

// wantAgain takes back that a revision is only kept: it is about to get traffic.
func (r *Runner) wantAgain(rec *target, id towpath.RevisionID) error {
	rev := rec.Revisions[id]
	if rev.Kept == nil {
		return nil
	}
	rev.Kept = nil
	rec.Revisions[id] = rev
	return r.saveTarget(rec)
}

// stopKept ends what was kept for long enough. What has traffic is not kept, whatever
// the record says. It waits for nothing: what still has requests under way is looked
// at again, until its drain is over.
func (r *Runner) stopKept(ctx context.Context, rec *target, rt *route.RouteStatus) error {
	var over []towpath.RevisionID
	now := r.cfg.Now()
	for _, id := range rec.others("") {
		k := rec.Revisions[id].Kept
		switch {
		case k == nil:
		case rt != nil && hasTraffic(rt.Traffic, id):
			if err := r.wantAgain(rec, id); err != nil {
				return err
			}
		case !now.Before(k.Until):
			over = append(over, id)
		}
	}
	if len(over) == 0 {
		return nil
	}
	st, err := r.router.Status(ctx)
	if err != nil {
		return err
	}
	over = slices.DeleteFunc(over, func(id towpath.RevisionID) bool {
		rev := rec.Revisions[id]
		return now.Before(rev.Kept.Until.Add(rev.Spec.Draining())) && st.InFlightTo(rec.Target.Key(), id) > 0
	})
	if len(over) == 0 {
		return nil
	}
	return r.stopAll(ctx, rec, over)
}

// unkept lists the revisions of a target but one and those that are kept.
func (t *target) unkept(but towpath.RevisionID) []towpath.RevisionID {
	return slices.DeleteFunc(t.others(but), func(id towpath.RevisionID) bool { return t.Revisions[id].Kept != nil })
}

// wanted is how many revisions of a target are there for more than to be gone
// back to.
func (t *target) wanted() int {
	n := 0
	for _, rev := range t.Revisions {
		if rev.Kept == nil {
			n++
		}
	}
	return n
}

// wayBack is the revision that can be gone back to without a start, and until
// when; "" when there is none. One of whose instances any has ended is none:
// nobody starts them again while nothing needs them.
func (r *Runner) wayBack(rec *target) (id towpath.RevisionID, until time.Time, err error) {
	for _, other := range rec.others("") {
		k := rec.Revisions[other].Kept
		if k == nil || !k.Until.After(until) {
			continue
		}
		whole := true
		for _, instance := range rec.instances(other) {
			in, err := r.look(instance)
			if err != nil {
				return "", time.Time{}, err
			}
			whole = whole && in.ready()
		}
		if whole {
			id, until = other, k.Until
		}
	}
	return id, until, nil
}
