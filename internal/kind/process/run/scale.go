package run

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// makeRoom brings the instances of a target to the numbers that an operation
// names, but for starting those that are missing: first there is room for them.
// Without numbers all of the revision's are to run.
func (r *Runner) makeRoom(ctx context.Context, w kind.Work, rec *target) error {
	scale := w.Operation.Spec.Scale
	if scale == nil {
		return r.only(rec, w.Operation.Spec.Revision, nil)
	}
	if err := r.shrink(ctx, w, rec, scale.Room); err != nil {
		return err
	}
	if scale.Instances == 0 {
		return r.only(rec, w.Operation.Spec.Revision, nil)
	}
	return r.only(rec, w.Operation.Spec.Revision, &scale.Instances)
}

// grow is [Runner.makeRoom] for a revision that runs in part already, and starts
// what is missing of it. What has ended by itself since is not started again.
func (r *Runner) grow(ctx context.Context, w kind.Work, rec *target) error {
	rev := w.Operation.Spec.Revision
	if _, known := rec.Revisions[rev]; !known || w.Operation.Spec.Scale == nil {
		return nil
	}
	ran := rec.instances(rev)
	for i, id := range ran {
		in, err := r.look(id)
		if err != nil {
			return err
		}
		if in.crashed() {
			return crashedSince(in, i)
		}
	}
	if err := r.makeRoom(ctx, w, rec); err != nil {
		return err
	}
	return r.bringUp(ctx, w, rec, ran...)
}

// only records how many of a revision's instances are to run.
func (r *Runner) only(rec *target, id towpath.RevisionID, n *int) error {
	rev := rec.Revisions[id]
	if n != nil && *n >= rev.Spec.Instances {
		n = nil // that is all of them
	}
	before := rev.Only
	if rev.Only = n; before == nil && n == nil || before != nil && n != nil && *before == *n {
		return nil
	}
	rec.Revisions[id] = rev
	return r.saveTarget(rec)
}

// shrink leaves at most so many instances of all revisions but the operation's,
// those first that have the traffic. Those that go get no new requests, finish
// what they have, and stop. Of what is only kept a part is no way back: where it
// does not fit all of it goes, before anything that users may wait for to be replaced.
func (r *Runner) shrink(ctx context.Context, w kind.Work, rec *target, most int) error {
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil {
		return err
	}
	var stay, over []towpath.RevisionID
	keep := map[towpath.RevisionID]int{}
	left := most
	for _, id := range rec.byTraffic(w.Operation.Spec.Revision, rt) {
		has := rec.Revisions[id].instances()
		n := min(left, has)
		if rec.Revisions[id].Kept != nil && n < has {
			over = append(over, id)
			continue
		}
		stay, keep[id] = append(stay, id), n
		left -= n
	}
	if len(over) > 0 {
		w.Say("what was kept to go back to is stopped: there is no room for it")
		if err := r.drainAndStop(ctx, w, rec, over); err != nil {
			return err
		}
	}
	for _, id := range stay {
		if err := r.keepFirst(ctx, w, rec, id, keep[id]); err != nil {
			return err
		}
	}
	return nil
}

// byTraffic lists the revisions of a target but one: first the one that has the
// traffic, then those with a part of it, last what is kept.
func (t *target) byTraffic(but towpath.RevisionID, rt *route.RouteStatus) []towpath.RevisionID {
	rank := func(id towpath.RevisionID) int {
		switch {
		case rt != nil && rt.Traffic.Revision == id:
			return 0
		case rt != nil && hasTraffic(rt.Traffic, id):
			return 1
		case t.Revisions[id].Kept == nil:
			return 2
		}
		return 3
	}
	out := t.others(but)
	slices.SortStableFunc(out, func(a, b towpath.RevisionID) int { return rank(a) - rank(b) })
	return out
}

// keepFirst leaves the first instances of a revision. It is written down before
// any of the others stops, so that nobody takes one for crashed.
func (r *Runner) keepFirst(ctx context.Context, w kind.Work, rec *target, id towpath.RevisionID, n int) error {
	gone := rec.every(id)[n:]
	if len(gone) == 0 {
		return nil
	}
	if err := r.only(rec, id, &n); err != nil {
		return err
	}
	if err := r.withdraw(ctx, w, rec, id); err != nil {
		return err
	}
	if err := r.idle(ctx, w, rec, id, gone); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, instance := range gone {
		g.Go(func() error { return r.stop(gctx, instance) })
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	failpoint.Hit("run.after-shrink")
	return nil
}

// withdraw takes the instances of a revision that are to stop out of the
// traffic. A revision without any left keeps its place in the route: requests
// are answered with 503 until the next one has it.
func (r *Runner) withdraw(ctx context.Context, w kind.Work, rec *target, id towpath.RevisionID) error {
	op := w.Operation
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil || rt == nil {
		return err
	}
	stays := map[string]bool{}
	for _, instance := range rec.instances(id) {
		stays[instance] = true
	}
	without := func(list []route.Instance) (out []route.Instance) {
		for _, in := range list {
			if stays[in.ID] {
				out = append(out, in)
			}
		}
		return out
	}
	want, changed := rt.Traffic, false
	if want.Revision == id {
		want.Instances = without(want.Instances)
		changed = len(want.Instances) != len(rt.Traffic.Instances)
	}
	want.Others = append([]route.Backend(nil), want.Others...)
	for i, b := range want.Others {
		if b.Revision == id {
			want.Others[i].Instances = without(b.Instances)
			changed = changed || len(want.Others[i].Instances) != len(b.Instances)
		}
	}
	if !changed {
		return nil
	}
	_, err = r.router.Apply(ctx, route.Change{Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Traffic: &want})
	return err
}
