package run

import (
	"context"
	"fmt"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Switch sends all traffic to the revision, which must be prepared. Requests
// under way finish where they are.
func (r *Runner) Switch(ctx context.Context, w kind.Work) error {
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
	if err := r.baseMoved(ctx, w); err != nil {
		return err
	}
	if op.Verb == towpath.VerbRestore {
		failpoint.Hit("run.before-switch")
		if err := r.switchBack(ctx, op, rec); err != nil {
			return err
		}
		failpoint.Hit("run.after-switch")
		return nil
	}
	if err := r.grow(ctx, w, rec); err != nil {
		return err
	}
	if err := r.allThere(ctx, rec, op.Spec.Revision); err != nil {
		return err
	}
	traffic, err := r.traffic(rec, op.Spec.Revision)
	if err != nil {
		return err
	}
	traffic.Deployment, traffic.Release = op.Deployment, op.Spec.Release
	failpoint.Hit("run.before-switch")
	if _, err := r.router.Apply(ctx, route.Change{
		Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{traffic.Listen}, Traffic: &traffic,
	}); err != nil {
		return err
	}
	failpoint.Hit("run.after-switch")
	return nil
}

func crashedSince(in *instance, index int) error {
	return &kind.Failure{Message: fmt.Sprintf("instance %d %s after it had been healthy", index, in.exit), Log: tail(in.dir)}
}

// allThere is a failure when an instance of a prepared revision is lost: nobody
// starts it again before the revision has the traffic, and to try again would
// change nothing.
func (r *Runner) allThere(ctx context.Context, rec *target, rev towpath.RevisionID) error {
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil || rt != nil && rt.Traffic.Revision == rev {
		return err
	}
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil {
			return err
		}
		if in.lost() {
			return &kind.Failure{Message: in.gone(i) + ", after it had been healthy", Log: tail(in.dir)}
		}
	}
	return nil
}

// traffic is what the router is told of a revision, but for its instances.
func (v revision) traffic(name towpath.RevisionID) route.Traffic {
	return route.Traffic{
		Revision: name, Listen: v.Spec.Listen, Protocol: v.Spec.Protocol, Trusted: v.Spec.Proxies, Limits: route.Limits{Answer: v.Spec.Answer},
	}
}

// traffic is what the router is told of a revision all of whose instances run.
func (r *Runner) traffic(rec *target, rev towpath.RevisionID) (route.Traffic, error) {
	spec, known := rec.Revisions[rev]
	if !known {
		return route.Traffic{}, towpath.E(towpath.KindConflict, "process.switch", "the revision is not prepared on %s", rec.Target.Key()).On(string(rev))
	}
	t := spec.traffic(rev)
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		switch {
		case err != nil:
			return t, err
		case in.crashed():
			return t, crashedSince(in, i)
		case !in.ready():
			return t, towpath.E(towpath.KindUnavailable, "process.switch", "instance %d of the revision does not run", i).On(string(rev)).
				WithHint("what it and its shim wrote is in %s", in.dir)
		}
		t.Instances = append(t.Instances, route.Instance{ID: id, Address: in.record.address()})
	}
	return t, nil
}
