package run

import (
	"context"
	"errors"
	"strings"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// A repair runs the revision a second time, under a name of its own: to the
// router and to the target's record that is another revision, so that old and
// new instances stand side by side, share nothing, and are drained one by one.
// Once nothing else is left, the second set takes the revision's name.

// twinMark stands between a revision and the operation that runs it again.
const twinMark = "~"

func twinOf(op towpath.Operation) towpath.RevisionID {
	return op.Spec.Revision + twinMark + towpath.RevisionID(op.ID)
}

// plain is the revision that a twin is one of.
func plain(rev towpath.RevisionID) towpath.RevisionID {
	name, _, _ := strings.Cut(string(rev), twinMark)
	return towpath.RevisionID(name)
}

// Repair replaces everything that runs on the target by instances of the
// revision that are started from these files. It may be called again at any
// moment: each step is found done, and the next one taken. A revision that
// fails leaves what ran before alone.
func (r *Runner) Repair(ctx context.Context, w kind.Work) error {
	return r.untilMemory(ctx, w, r.repair)
}

func (r *Runner) repair(ctx context.Context, w kind.Work) error {
	unlock, err := r.lock(ctx, w.Operation.Target)
	if err != nil {
		return err
	}
	defer unlock()
	spec, err := specOf(w.Operation.Spec.Rendered)
	if err != nil {
		return err
	}
	rec, err := r.loadTarget(w.Operation.Target)
	if err != nil {
		return err
	}
	twin := twinOf(w.Operation)
	if rec.Revisions[w.Operation.Spec.Revision].Name != twin {
		if err := r.openAddress(ctx, w.Operation, spec.Listen); err != nil {
			return err
		}
		if err := r.startTwin(ctx, w, rec, revision{
			Spec: spec, Files: w.Files, Operation: w.Operation.ID, Rendered: w.Operation.Spec.Rendered, Name: twin,
		}); err != nil {
			return err
		}
		if err := r.replaceByTwin(ctx, w, rec); err != nil {
			return err
		}
	}
	return r.settleTwin(ctx, w, rec)
}

// startTwin runs the revision once more beside what runs, until it is healthy.
// When it fails nothing of it is left.
func (r *Runner) startTwin(ctx context.Context, w kind.Work, rec *target, twin revision) error {
	if _, known := rec.Revisions[twin.Name]; !known {
		rec.Revisions[twin.Name] = twin
		if err := r.saveTarget(rec); err != nil {
			return err
		}
	}
	w.Operation.Spec.Revision = twin.Name
	_, err := r.enoughMemory(rec, w.Operation)
	if err == nil {
		err = r.bringUp(ctx, w, rec)
	}
	if failure := new(kind.Failure); errors.As(err, &failure) {
		if serr := r.endTwin(ctx, rec, twin.Name); serr != nil {
			r.log.WarnContext(ctx, "failed repair not cleaned up yet", "component", rec.Target.Component, "operation", w.Operation.ID, "error", serr)
		}
	}
	if err == nil {
		failpoint.Hit("run.after-healthy")
	}
	return err
}

// endTwin stops and forgets a twin, unless it has the traffic.
func (r *Runner) endTwin(ctx context.Context, rec *target, twin towpath.RevisionID) error {
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil || rt != nil && hasTraffic(rt.Traffic, twin) {
		return err
	}
	for _, id := range rec.instances(twin) {
		if err := r.stop(ctx, id); err != nil {
			return err
		}
	}
	delete(rec.Revisions, twin)
	return r.saveTarget(rec)
}

// replaceByTwin gives the twin the traffic, drains and stops everything else but
// what is kept to go back to, and has it take the revision's name.
func (r *Runner) replaceByTwin(ctx context.Context, w kind.Work, rec *target) error {
	twin := twinOf(w.Operation)
	if err := r.direct(ctx, w.Operation, rec, twin, false); err != nil {
		return err
	}
	failpoint.Hit("run.after-repair-switch")
	if err := r.drainAndStop(ctx, w, rec, rec.unkept(twin)); err != nil {
		return err
	}
	failpoint.Hit("run.after-repair-stop")
	rec.Revisions[w.Operation.Spec.Revision] = rec.Revisions[twin]
	delete(rec.Revisions, twin)
	return r.saveTarget(rec)
}

// settleTwin tells the router the revision's own name for what has the traffic
// already, and closes addresses that it does not answer on any more.
func (r *Runner) settleTwin(ctx context.Context, w kind.Work, rec *target) error {
	failpoint.Hit("run.before-repair-settle")
	return r.direct(ctx, w.Operation, rec, w.Operation.Spec.Revision, true)
}

// direct sends all traffic to a revision of the record.
func (r *Runner) direct(ctx context.Context, op towpath.Operation, rec *target, rev towpath.RevisionID, prune bool) error {
	t, err := r.traffic(rec, rev)
	if err != nil {
		return err
	}
	t.Deployment, t.Release = op.Deployment, op.Spec.Release
	_, err = r.router.Apply(ctx, route.Change{
		Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{t.Listen}, Traffic: &t, Prune: prune,
	})
	return err
}

// repaired reports whether a repair has been made and nothing of it is left to
// do.
func (r *Runner) repaired(ctx context.Context, rec *target, op towpath.Operation) (bool, error) {
	if rec.wanted() != 1 || rec.Revisions[op.Spec.Revision].Name != twinOf(op) {
		return false, nil
	}
	return r.switched(ctx, rec, op.Spec.Revision)
}

// Folders lists where the files of what runs are, of all revisions.
func (r *Runner) Folders() ([]string, error) {
	targets, err := r.allTargets()
	var out []string
	for _, t := range targets {
		for _, rev := range t.Revisions {
			out = append(out, rev.Files)
		}
	}
	return out, err
}
