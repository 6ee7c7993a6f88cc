package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// What is to stop gets no new requests and finishes those that it has, for as long
// as its drain says. Where users wait for it to stop (on the way back, and where
// nothing else answers meanwhile), it has its stop grace only. What an operation
// stops one after another has half of its time in all: the rest is for stopping it,
// for what starts and for jobs.

// patience is how long requests may finish in an instance that an operation stops:
// at most half of the operation's time, which has to do for more.
func patience(op towpath.Operation, s process.Spec) time.Duration {
	if goesBack(op) {
		return s.StopGrace
	}
	d := s.Draining()
	if half := op.Spec.Timeout / 2; half > 0 {
		d = min(d, half)
	}
	return d
}

// goesBack reports whether what an operation stops is in the way of going back.
func goesBack(op towpath.Operation) bool {
	switch op.Verb {
	case towpath.VerbRestore:
		return true
	case towpath.VerbRemove: // without Previous it had never come to run
		return op.Spec.Back || op.Spec.Previous == ""
	case towpath.VerbPrepare, towpath.VerbShift, towpath.VerbSwitch:
		return op.Spec.Back
	}
	return false
}

// remaining is how long an operation may wait for requests in what stops now. Once
// what it has waited for before took half of its time, that is the stop grace; and
// never more than half of what the grace leaves of its time.
func (r *Runner) remaining(ctx context.Context, op towpath.Operation, rec *target, wanted, grace time.Duration) time.Duration {
	if half := op.Spec.Timeout / 2; half > 0 {
		wanted = min(wanted, max(half-rec.waited, grace))
	}
	if end, ends := ctx.Deadline(); ends {
		wanted = min(wanted, ((end.Sub(r.cfg.Now()) - grace) / 2).Truncate(100*time.Millisecond))
	}
	return max(wanted, 0)
}

// drainAndStop ends revisions. One is forgotten when its instances are gone, not
// before: until then somebody has to know of them.
func (r *Runner) drainAndStop(ctx context.Context, w kind.Work, rec *target, revisions []towpath.RevisionID) error {
	if err := r.drain(ctx, w, rec, revisions); err != nil {
		return err
	}
	return r.stopAll(ctx, rec, revisions)
}

// stopAll ends revisions that are drained.
func (r *Runner) stopAll(ctx context.Context, rec *target, revisions []towpath.RevisionID) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, rev := range revisions {
		for _, id := range rec.every(rev) {
			g.Go(func() error { return r.stop(gctx, id) })
		}
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	for _, rev := range revisions {
		delete(rec.Revisions, rev)
	}
	return r.saveTarget(rec)
}

// drainPoll is how often the router is asked for requests under way.
const drainPoll = 50 * time.Millisecond

// drain waits until no request is under way to any of some revisions, at most
// as long as the most patient of them.
func (r *Runner) drain(ctx context.Context, w kind.Work, rec *target, revisions []towpath.RevisionID) error {
	var most, grace time.Duration
	for _, id := range revisions {
		spec := rec.Revisions[id].Spec
		most, grace = max(most, patience(w.Operation, spec)), max(grace, spec.StopGrace)
	}
	return r.await(ctx, w, rec, r.remaining(ctx, w.Operation, rec, most, grace), func(st route.Status) (n int64) {
		for _, id := range revisions {
			n += st.InFlightTo(rec.Target.Key(), id)
		}
		return n
	})
}

// idle waits until no request is under way to any of a revision's instances that
// are to stop.
func (r *Runner) idle(ctx context.Context, w kind.Work, rec *target, id towpath.RevisionID, instances []string) error {
	spec := rec.Revisions[id].Spec
	most := patience(w.Operation, spec)
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil {
		return err
	}
	if rt == nil || !takesRequests(rt.Traffic) {
		most = min(most, spec.StopGrace)
	}
	return r.await(ctx, w, rec, r.remaining(ctx, w.Operation, rec, most, spec.StopGrace), func(st route.Status) int64 { return st.Busy(rec.Target.Key(), instances) })
}

// takesRequests reports whether there is anybody to answer new requests.
func takesRequests(t route.Traffic) bool {
	return slices.ContainsFunc(t.Backends(), func(b route.Backend) bool { return b.Weight > 0 && len(b.Instances) > 0 })
}

// await waits until nothing of what it counts is under way, at most for a
// while. What is left then is cut off.
func (r *Runner) await(ctx context.Context, w kind.Work, rec *target, most time.Duration, count func(route.Status) int64) error {
	began := r.cfg.Now()
	defer func() { rec.waited += r.cfg.Now().Sub(began) }()
	end := time.NewTimer(most)
	defer end.Stop()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	said := false
	for {
		st, err := r.router.Status(ctx)
		if err != nil {
			return err
		}
		n := count(st)
		if n == 0 {
			return nil
		}
		if !said {
			w.Say(fmt.Sprintf("waiting up to %s for %d requests to finish", most, n))
			said = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-end.C:
			w.Say(fmt.Sprintf("%d requests did not finish in %s and are cut off", n, most))
			return nil
		case <-tick.C:
		}
	}
}
