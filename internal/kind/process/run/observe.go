package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Observe says what really runs: for every target the revision with traffic,
// its address, and how many of its instances answer their probe now, within
// pulseTimeout at most. It changes nothing. Without a router nothing has
// traffic, and that is known.
func (r *Runner) Observe(ctx context.Context) ([]towpath.Observation, error) {
	targets, err := r.allTargets()
	if err != nil {
		return nil, err
	}
	r.pulses.forget(targets)
	if len(targets) == 0 {
		return nil, nil
	}
	st, rerr := r.router.Status(ctx)
	if rerr != nil && towpath.KindOf(rerr) != towpath.KindUnavailable {
		return nil, rerr
	}
	out := make([]towpath.Observation, len(targets))
	g, gctx := errgroup.WithContext(ctx)
	for i, rec := range targets {
		g.Go(func() error {
			if rerr != nil {
				out[i] = towpath.Observation{Target: rec.Target, Health: towpath.HealthUnhealthy, Detail: "the router does not run", At: r.cfg.Now()}
				return nil //nolint:nilerr // that the router does not run is what was observed
			}
			rt, _ := st.Find(rec.Target.Key())
			var err error
			if out[i], err = r.observe(gctx, rec, rt); err != nil {
				return err
			}
			// What has the traffic is to be seen at its own address.
			if preview, open := st.Find(previewRoute(rec.Target)); open && plain(preview.Traffic.Revision) != plain(rt.Traffic.Revision) {
				out[i].Preview = preview.Address(preview.Traffic.Listen)
			}
			if out[i].Kept, out[i].KeptUntil, err = r.wayBack(rec); err != nil {
				return err
			}
			out[i].Beside, err = r.beside(rec, rt.Traffic.Revision)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

func (r *Runner) observe(ctx context.Context, rec *target, rt route.RouteStatus) (towpath.Observation, error) {
	rev := rt.Traffic.Revision
	o := towpath.Observation{Target: rec.Target, Revision: plain(rev), Health: towpath.HealthUnknown, At: r.cfg.Now()}
	if rev == "" {
		o.Detail = "no revision has traffic yet"
		if n := len(rt.Listeners); n > 0 {
			o.Address = rt.Listeners[n-1].Address
			notOpen(&o, rt, rt.Listeners[n-1].Listen)
		}
		return o, nil
	}
	o.Address = rt.Address(rt.Traffic.Listen)
	spec, known := rec.Revisions[rev]
	if !known {
		o.Detail = "the router sends traffic to a revision that nobody prepared here"
		return o, nil
	}
	o.Wanted, o.Folder, o.Ignore, o.Settings = spec.Spec.Instances, spec.Files, spec.Spec.Ignore, spec.settings()
	now := r.environmentNow(ctx, rec, rev)
	running, why, err := r.running(rec, rev)
	if err != nil {
		return o, err
	}
	asked := spec.Spec
	asked.Health.Timeout = min(asked.Health.Timeout, pulseTimeout)
	r.askAll(ctx, running, asked)
	if ctx.Err() != nil {
		return o, context.Cause(ctx)
	}
	r.pulses.note(rec.Target.Key(), running, r.cfg.Now())
	o.Instances = len(running)
	healthy := 0
	for _, in := range running {
		o.Variables = union(o.Variables, differing(in.env, now))
		switch {
		case slices.Contains(rt.Out, in.id):
			why = append(why, fmt.Sprintf("instance %d gets no requests: %s", in.index, in.why(asked.Health)))
			o.Out = append(o.Out, towpath.InstanceOut{Index: in.index, Why: in.why(asked.Health)})
		case in.err != nil:
			why = append(why, fmt.Sprintf("instance %d: %s", in.index, in.why(asked.Health)))
		default:
			healthy++
		}
	}
	o.Out = o.Out[:min(len(o.Out), towpath.MaxInstancesOut)]
	strays, err := r.strays(rec)
	if err != nil {
		return o, err
	}
	o.Strays = len(strays)
	o.Health = towpath.HealthHealthy
	if healthy < spec.instances() {
		o.Health = towpath.HealthUnhealthy
		o.Detail = fmt.Sprintf("%d of %d instances healthy: %s", healthy, spec.instances(), strings.Join(why, "; "))
	}
	if spec.instances() == 0 {
		o.Health, o.Detail = towpath.HealthUnhealthy, "it was stopped to make room for what replaces it"
	}
	if often := r.startedAgain(rec, rev); often != "" {
		o.Detail = strings.TrimPrefix(o.Detail+"; "+often, "; ")
	}
	notOpen(&o, rt, rt.Traffic.Listen)
	return o, nil
}

// running are the instances of a revision that run, and why others don't.
func (r *Runner) running(rec *target, rev towpath.RevisionID) (all []answered, why []string, err error) {
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		switch {
		case err != nil:
			return nil, nil, err
		case in.ready():
			all = append(all, answered{id: id, address: in.record.address(), env: in.spec.Env, start: in.spec.Start, index: i})
		case in.crashed():
			why = append(why, fmt.Sprintf("instance %d %s", i, in.exit))
		default:
			why = append(why, fmt.Sprintf("instance %d does not run", i))
		}
	}
	return all, why, nil
}

// beside is how much runs of the revisions of a target that don't have its
// traffic, or only a part of it. What is kept is not among them, nor what a
// repair runs again: that is the same revision.
func (r *Runner) beside(rec *target, has towpath.RevisionID) ([]towpath.RevisionSeen, error) {
	var out []towpath.RevisionSeen
	for _, rev := range rec.unkept(has) {
		seen := towpath.RevisionSeen{Revision: plain(rev), Wanted: rec.Revisions[rev].Spec.Instances}
		for _, id := range rec.instances(rev) {
			in, err := r.look(id)
			if err != nil {
				return nil, err
			}
			if in.ready() {
				seen.Instances++
			}
		}
		if seen.Instances > 0 && seen.Revision != plain(has) {
			out = append(out, seen)
		}
	}
	return out, nil
}

// notOpen says that nobody reaches the component at its address, if so: however
// well its instances are, whoever has the address answers in their place.
func notOpen(o *towpath.Observation, rt route.RouteStatus, listen string) {
	if why := rt.Closed[listen]; why != "" {
		o.Health, o.Detail, o.Closed = towpath.HealthUnhealthy, why+"; the router tries again", why
	}
}
