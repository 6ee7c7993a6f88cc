package run

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Shift sends a share of the traffic to the revision, which must be prepared,
// and the rest to the previous one, which has it; or, instead of a share, copies
// of requests.
func (r *Runner) Shift(ctx context.Context, w kind.Work) error {
	op := w.Operation
	share := op.Spec.Weight >= 1 && op.Spec.Weight <= 99 && op.Spec.Copies == nil
	copies := op.Spec.Weight == 0 && op.Spec.Copies != nil
	if !share && !copies || op.Spec.Previous == "" || op.Spec.Previous == op.Spec.Revision {
		return &kind.Failure{Message: fmt.Sprintf("%d %% of the traffic of %q can't be given to %q", op.Spec.Weight, op.Spec.Previous, op.Spec.Revision)}
	}
	unlock, err := r.lock(ctx, op.Target)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := r.loadTarget(op.Target)
	if err != nil {
		return err
	}
	if err := r.baseMoved(ctx, w); err != nil {
		return err
	}
	if err := r.grow(ctx, w, rec); err != nil {
		return err
	}
	if err := r.allThere(ctx, rec, op.Spec.Revision); err != nil {
		return err
	}
	traffic, err := r.share(ctx, rec, op)
	if err != nil {
		return err
	}
	failpoint.Hit("run.before-shift")
	if _, err := r.router.Apply(ctx, route.Change{
		Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{traffic.Listen}, Traffic: &traffic,
	}); err != nil {
		return err
	}
	failpoint.Hit("run.after-shift")
	if op.Spec.Scale == nil {
		return nil
	}
	return r.shrink(ctx, w, rec, op.Spec.Scale.Rest)
}

// share is the traffic of a target, of which an operation's revision has a
// part. The previous one keeps the labels under which it is counted.
func (r *Runner) share(ctx context.Context, rec *target, op towpath.Operation) (route.Traffic, error) {
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil {
		return route.Traffic{}, err
	}
	if rt == nil || rt.Traffic.Revision != op.Spec.Previous {
		return route.Traffic{}, towpath.E(towpath.KindConflict, "process.shift", "revision %s does not have the traffic of %s", op.Spec.Previous, rec.Target.Key()).
			WithHint("switch to one of the revisions, then shift")
	}
	next, err := r.traffic(rec, op.Spec.Revision)
	if err != nil {
		return next, err
	}
	now := rt.Traffic
	now.Weight = 100 - op.Spec.Weight
	now.Others = []route.Backend{{
		Revision: op.Spec.Revision, Instances: next.Instances, Weight: op.Spec.Weight, Protocol: next.Protocol,
		Deployment: op.Deployment, Release: op.Spec.Release, Answer: next.Limits.Answer, Trusted: next.Trusted,
	}}
	besides(op.Spec, &now)
	return now, nil
}

// besides says what is done with requests besides their weights: of an
// experiment, who goes where; of a rollout, who stays, and what is copied.
func besides(spec towpath.OperationSpec, t *route.Traffic) {
	t.Match, t.Sticky, t.Mirror = nil, nil, nil
	if c := spec.Copies; c != nil {
		t.Mirror = &route.Mirror{Revision: spec.Revision, Percent: c.Percent, Methods: c.Methods}
	}
	if s := spec.Sticky; s != nil {
		t.Sticky = &route.Sticky{Cookie: s.Cookie, MaxAge: s.MaxAge, Header: s.Header, Toward: spec.Revision}
	}
	e := spec.Experiment
	if e == nil {
		return
	}
	for _, m := range e.Match {
		t.Match = append(t.Match, route.Match{Revision: spec.Revision, Header: m.Header, Cookie: m.Cookie, Exact: m.Exact, Regex: m.Regex})
	}
	if s := e.Sticky; s != nil {
		t.Sticky = &route.Sticky{Cookie: s.Cookie, MaxAge: s.MaxAge, Header: s.Header}
	}
}

// shifted reports whether an operation's revision has its share of the traffic.
func (r *Runner) shifted(ctx context.Context, rec *target, op towpath.Operation) (bool, error) {
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil || rt == nil || rt.Traffic.Revision != op.Spec.Previous || len(rt.Traffic.Others) != 1 {
		return false, err
	}
	other := rt.Traffic.Others[0]
	if other.Revision != op.Spec.Revision || other.Weight != op.Spec.Weight || rt.Traffic.Weight != 100-op.Spec.Weight {
		return false, nil
	}
	want := rt.Traffic
	if besides(op.Spec, &want); !reflect.DeepEqual(want, rt.Traffic) {
		return false, nil
	}
	return r.runs(rec, other.Revision, other.Instances)
}

// runs reports whether instances are those of a revision, and run.
func (r *Runner) runs(rec *target, rev towpath.RevisionID, instances []route.Instance) (bool, error) {
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil || !in.ready() || i >= len(instances) || instances[i] != (route.Instance{ID: id, Address: in.record.address()}) {
			return false, err
		}
	}
	return true, nil
}

// hasTraffic reports whether a revision has the traffic, or a part of it.
func hasTraffic(t route.Traffic, rev towpath.RevisionID) bool {
	return t.Revision == rev || slices.ContainsFunc(t.Others, func(b route.Backend) bool { return b.Revision == rev && b.Weight > 0 })
}
