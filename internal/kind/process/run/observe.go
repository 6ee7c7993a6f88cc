package run

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Observe says what really runs: for every target the revision with traffic,
// its address, and how many of its instances answer their probe now. It
// changes nothing. Without a router nothing has traffic, and that is known.
func (r *Runner) Observe(ctx context.Context) ([]towpath.Observation, error) {
	targets, err := r.allTargets()
	if err != nil || len(targets) == 0 {
		return nil, err
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
	healthy := 0
	var why error
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil {
			return o, err
		}
		if !in.ready() {
			why = fmt.Errorf("instance %d does not run", i)
			if in.crashed() {
				why = fmt.Errorf("instance %d %s", i, in.exit)
			}
			continue
		}
		o.Instances++
		o.Variables = union(o.Variables, differing(in.spec.Env, now))
		if err := r.healthy(ctx, in.record.address(), spec.Spec); err != nil {
			why = fmt.Errorf("instance %d: %w", i, err)
			continue
		}
		healthy++
	}
	if ctx.Err() != nil {
		return o, context.Cause(ctx)
	}
	strays, err := r.strays(rec)
	if err != nil {
		return o, err
	}
	o.Strays = len(strays)
	o.Health = towpath.HealthHealthy
	if healthy < spec.instances() {
		o.Health = towpath.HealthUnhealthy
		o.Detail = fmt.Sprintf("%d of %d instances healthy: %v", healthy, spec.instances(), why)
	}
	if spec.instances() == 0 {
		o.Health, o.Detail = towpath.HealthUnhealthy, "it was stopped to make room for what replaces it"
	}
	notOpen(&o, rt, rt.Traffic.Listen)
	return o, nil
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
