package run

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/kind"
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

// stopKept ends what was kept for long enough.
func (r *Runner) stopKept(ctx context.Context, rec *target) error {
	var over []towpath.RevisionID
	now := r.cfg.Now()
	for _, id := range rec.others("") {
		if k := rec.Revisions[id].Kept; k != nil && !now.Before(k.Until) {
			over = append(over, id)
		}
	}
	if len(over) == 0 {
		return nil
	}
	say := func(m string) {
		r.log.InfoContext(ctx, m, "component", rec.Target.Component, "environment", rec.Target.Environment)
	}
	return r.drainAndStop(ctx, kind.Work{Say: say}, rec, over)
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
