package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// restart is how often an instance was started again, when it may be next, and why it
// was last.
type restart struct {
	count int
	next  time.Time
	why   string
}

// over reports whether the instance has lived long enough for that to be forgotten.
func (s restart) over(now time.Time) bool { return now.Sub(s.next) > restartForget }

// Bounds of starting a crashed instance again: the pause doubles with each
// crash, and is forgotten once the instance has lived for restartForget.
const (
	restartPause  = time.Second
	restartMax    = time.Minute
	restartForget = 5 * time.Minute
	restartOften  = 3 // times in a row are told
)

// Keep holds what has traffic as it is: it starts the router again when it
// died and instances that ended without being asked, after a growing pause.
// It leaves those out that don't answer their health checks, as [Runner.Observe]
// found. It stops what was kept for long enough, and never starts or moves
// anything else. Targets with a step under way are left alone, but for those whose
// verification jobs run, or whose new instances start beside what has the traffic.
func (r *Runner) Keep(ctx context.Context) error {
	targets, unread := r.allTargets()
	if len(targets) == 0 {
		return unread
	}
	if err := r.router.Ensure(ctx); err != nil {
		return err
	}
	for _, t := range targets {
		unlock, free := r.tryLock(t.Target)
		if !free {
			continue
		}
		err := r.keep(ctx, t.Target)
		unlock()
		if err != nil {
			r.log.WarnContext(ctx, "component not kept running", "component", t.Target.Component, "environment", t.Target.Environment, "error", err)
		}
	}
	return errors.Join(ctx.Err(), unread)
}

func (r *Runner) keep(ctx context.Context, t towpath.Target) error {
	rec, err := r.loadTarget(t)
	if err != nil {
		return err
	}
	rt, err := r.routeOf(ctx, t)
	if err != nil {
		return err
	}
	if err := r.stopKept(ctx, rec, rt); err != nil || rt == nil {
		return err
	}
	rev := rt.Traffic.Revision
	if _, known := rec.Revisions[rev]; !known {
		return nil
	}
	want := rt.Traffic
	want.Instances = nil
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil {
			return err
		}
		if in.life != running {
			if in, err = r.again(ctx, rec, rt, i, in); err != nil {
				return err
			}
		}
		if in.ready() {
			want.Instances = append(want.Instances, route.Instance{ID: id, Address: in.record.address()})
		}
	}
	// With none left the old addresses stay: an answer of 502 says more than 503.
	if len(want.Instances) == 0 {
		return nil
	}
	change := route.Change{Route: t.Key(), Fence: rt.Fence, Operation: rt.Operation}
	if !slices.Equal(want.Instances, rt.Traffic.Instances) {
		change.Traffic = &want
	}
	if out := r.pulses.out(t.Key(), want.Instances, rt.Out); !slices.Equal(out, rt.Out) {
		change.Out = &out
		r.log.WarnContext(ctx, "other instances get no new requests than before", "component", t.Component, "environment", t.Environment, "instances", out, "before", rt.Out)
	}
	if change.Traffic == nil && change.Out == nil {
		return nil
	}
	_, err = r.router.Apply(ctx, change)
	return err
}

// again starts an ended instance once its pause is over and waits for its
// record.
func (r *Runner) again(ctx context.Context, rec *target, rt *route.RouteStatus, index int, was *instance) (*instance, error) {
	id := rec.instance(rt.Traffic.Revision, index)
	how := "it is gone"
	if was.exit != nil {
		how = "it " + was.exit.String()
	}
	now := r.cfg.Now()
	r.mu.Lock()
	s := r.restarts[id]
	due := !now.Before(s.next)
	if due {
		if s.over(now) {
			s.count = 0
		}
		s.next = now.Add(min(restartPause<<min(s.count, 10), restartMax))
		s.count++
		s.why = how
		r.restarts[id] = s
	}
	r.mu.Unlock()
	if !due {
		return was, nil
	}
	op := towpath.Operation{ID: rt.Operation, Target: rec.Target, Spec: towpath.OperationSpec{Revision: rt.Traffic.Revision}}
	next, err := r.instanceSpec(ctx, op, rec, index)
	if err != nil {
		return was, err
	}
	next.Start = was.spec.Start
	if was.life != wanted {
		next.Start++
	}
	r.log.WarnContext(ctx, "starting an instance again", "component", rec.Target.Component, "environment", rec.Target.Environment,
		"instance", id, "why", how, "start", next.Start)
	if err := r.start(next); err != nil {
		return was, err
	}
	tick := time.NewTicker(shimPoll)
	defer tick.Stop()
	end := time.NewTimer(shimGrace)
	defer end.Stop()
	for {
		in, err := r.look(id)
		if err != nil || in.ready() || in.life == ended {
			return in, err
		}
		select {
		case <-ctx.Done():
			return in, context.Cause(ctx)
		case <-end.C:
			return in, nil
		case <-tick.C:
		}
	}
}

// startedAgain tells which instances of a revision were started again and again, at most
// so many as an observation names of any; "" when none was.
func (r *Runner) startedAgain(rec *target, rev towpath.RevisionID) string {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for i, id := range rec.instances(rev) {
		if s := r.restarts[id]; s.count >= restartOften && !s.over(now) && len(out) < towpath.MaxInstancesOut {
			out = append(out, fmt.Sprintf("instance %d was started again %d times in a row, the last time because %s", i, s.count, s.why))
		}
	}
	return strings.Join(out, "; ")
}
