package run

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// A repair runs the revision a second time, under a name of its own: to the
// router and to the target's record that is another revision, so that old and
// new instances stand side by side, share nothing, and are drained one by one.
// Once nothing else is left, the second set takes the revision's name. Of what can't
// run twice (the operation's scale leaves it no room) the first set stops before.

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
// revision that are started from these files, with the revision's verification
// jobs before and after they have the traffic. It may be called again at any
// moment: each step is found done, and the next one taken. A revision that fails
// leaves what ran before alone, and is gone back from if it has the traffic.
func (r *Runner) Repair(ctx context.Context, w kind.Work) error {
	err := r.untilMemory(ctx, w, r.repair)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if uerr := r.Undo(context.WithoutCancel(ctx), w); uerr != nil {
			r.log.WarnContext(ctx, "repair whose time was over not cleaned up yet", "component", w.Operation.Target.Component, "operation", w.Operation.ID, "error", uerr)
		}
	}
	return err
}

func (r *Runner) repair(ctx context.Context, w kind.Work) error {
	w, err := r.repairFiles(ctx, w)
	if err != nil {
		return err
	}
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
		files, err := w.Files(ctx)
		if err != nil {
			return err
		}
		if err := r.openAddress(ctx, w.Operation, spec.Listen); err != nil {
			return err
		}
		if err := r.startTwin(ctx, w, rec, revision{
			Spec: spec, Files: files, Operation: w.Operation.ID, Rendered: w.Operation.Spec.Rendered, Name: twin,
			Deployment: w.Operation.Deployment, Release: w.Operation.Spec.Release,
		}); err != nil {
			return err
		}
		if err := r.giveTwin(ctx, w, rec); err != nil {
			return err
		}
		if err := r.replaceByTwin(ctx, w, rec); err != nil {
			return err
		}
	}
	if err := r.settleTwin(ctx, w, rec); err != nil {
		return err
	}
	if why := rec.Revisions[w.Operation.Spec.Revision].Failed; why != "" {
		return &kind.Failure{Message: why + "; it keeps the traffic, because nothing else runs"}
	}
	return nil
}

// repairFiles puts the files of a repair in place, before it takes the target's turn. One
// that only has to be settled starts nothing.
func (r *Runner) repairFiles(ctx context.Context, w kind.Work) (kind.Work, error) {
	rec, err := r.loadTarget(w.Operation.Target)
	if err != nil || rec.Revisions[w.Operation.Spec.Revision].Name == twinOf(w.Operation) {
		return w, err
	}
	files, err := w.Files(ctx)
	w.Files = kind.Folder(files)
	return w, err
}

// startTwin runs the revision once more beside what runs, until it is healthy.
func (r *Runner) startTwin(ctx context.Context, w kind.Work, rec *target, twin revision) error {
	if _, known := rec.Revisions[twin.Name]; !known {
		rt, err := r.routeOf(ctx, rec.Target)
		if err != nil {
			return err
		}
		if err := r.stopTwins(ctx, w, rec, rt); err != nil {
			return err
		}
		if rt != nil && rt.Traffic.Revision != "" {
			twin.Before = &rt.Traffic
		}
		rec.Revisions[twin.Name] = twin
		if err := r.saveTarget(rec); err != nil {
			return err
		}
	}
	w.Operation.Spec.Revision = twin.Name
	if scale := w.Operation.Spec.Scale; scale != nil {
		if err := r.shrink(ctx, w, rec, scale.Room); err != nil {
			return err
		}
	}
	_, err := r.enoughMemory(w, rec)
	if err == nil {
		err = r.bringUp(ctx, w, rec)
	}
	if failure := new(kind.Failure); errors.As(err, &failure) {
		return r.goBack(ctx, w, rec, failure)
	}
	if err == nil {
		failpoint.Hit("run.after-healthy")
	}
	return err
}

// stopTwins ends what repairs that were cut off have left, but for what has traffic.
func (r *Runner) stopTwins(ctx context.Context, w kind.Work, rec *target, rt *route.RouteStatus) error {
	left := slices.DeleteFunc(rec.others(""), func(id towpath.RevisionID) bool {
		return plain(id) == id || rt != nil && hasTraffic(rt.Traffic, id)
	})
	if len(left) == 0 {
		return nil
	}
	return r.drainAndStop(ctx, w, rec, left)
}

// undoTimeout bounds taking back a repair whose own time is over.
const undoTimeout = time.Minute

// Undo ends what a repair has started before its time was over or somebody withdrew it,
// unless that has traffic. What is left all the same the next repair ends.
func (r *Runner) Undo(ctx context.Context, w kind.Work) error {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	unlock, err := r.lock(ctx, w.Operation.Target)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := r.loadTarget(w.Operation.Target)
	if err != nil {
		return err
	}
	rt, err := r.routeOf(ctx, rec.Target)
	twin := twinOf(w.Operation)
	if _, known := rec.Revisions[twin]; err != nil || !known || rt != nil && hasTraffic(rt.Traffic, twin) {
		return err
	}
	return r.endTwin(ctx, w, rec, twin)
}

// endTwin ends a twin without traffic. Of what can't run twice the first set stopped for
// it: from the same moment it is wanted again, and [Runner.Keep] starts it, because it
// has the traffic.
func (r *Runner) endTwin(ctx context.Context, w kind.Work, rec *target, twin towpath.RevisionID) error {
	if before := rec.Revisions[twin].Before; w.Operation.Spec.Scale != nil && before != nil {
		if rev, known := rec.Revisions[before.Revision]; known {
			rev.Only = nil // written down with the end of the twin
			rec.Revisions[before.Revision] = rev
		}
	}
	return r.drainAndStop(ctx, w, rec, []towpath.RevisionID{twin})
}

// giveTwin gives the twin the traffic, if its verification jobs let it have it,
// and keep it.
func (r *Runner) giveTwin(ctx context.Context, w kind.Work, rec *target) error {
	twin := twinOf(w.Operation)
	jobs := w
	jobs.Operation.Spec.Revision = twin
	failure := new(kind.Failure)
	err := r.verify(ctx, jobs, rec.Revisions[twin].Spec, kind.BeforeSwitch)
	if errors.As(err, &failure) {
		return r.goBack(ctx, jobs, rec, failure)
	}
	if err != nil {
		return err
	}
	failpoint.Hit("run.before-repair-switch")
	if err := r.direct(ctx, w.Operation, rec, twin, false); err != nil {
		return err
	}
	failpoint.Hit("run.after-repair-switch")
	err = r.verify(ctx, jobs, rec.Revisions[twin].Spec, kind.AfterSwitch)
	if errors.As(err, &failure) {
		return r.goBack(ctx, jobs, rec, failure)
	}
	if err == nil {
		err = r.mark(rec, twin, "")
	}
	return err
}

// mark notes whether a twin failed.
func (r *Runner) mark(rec *target, twin towpath.RevisionID, failed string) error {
	rev := rec.Revisions[twin]
	if rev.Failed == failed {
		return nil
	}
	rev.Failed = failed
	rec.Revisions[twin] = rev
	return r.saveTarget(rec)
}

// goBack gives the traffic back to what had it before the twin, and ends the
// twin: its failure is what it returns. A twin that has the traffic while nothing
// runs of what had it before keeps it and is marked: then it returns nil, because
// the repair goes on to its end.
func (r *Runner) goBack(ctx context.Context, w kind.Work, rec *target, failure *kind.Failure) error {
	op, twin := w.Operation, rec.Revisions[w.Operation.Spec.Revision]
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil {
		return err
	}
	if rt != nil && hasTraffic(rt.Traffic, twin.Name) {
		back, err := r.trafficBefore(rec, twin.Before)
		if err != nil {
			return err
		}
		if back == nil {
			return r.mark(rec, twin.Name, failure.Message)
		}
		w.Say("giving the traffic back to what ran before")
		if _, err := r.router.Apply(ctx, route.Change{
			Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{back.Listen}, Traffic: back,
		}); err != nil {
			return err
		}
		failpoint.Hit("run.after-repair-back")
	}
	if err := r.endTwin(ctx, w, rec, twin.Name); err != nil {
		if w.Operation.Spec.Scale != nil {
			return err // what stopped for it waits for its end: that is tried again
		}
		r.log.WarnContext(ctx, "failed repair not cleaned up yet", "component", rec.Target.Component, "operation", op.ID, "error", err)
	}
	return failure
}

// trafficBefore is what had the traffic, as it runs now; nil when nothing of it
// does.
func (r *Runner) trafficBefore(rec *target, before *route.Traffic) (*route.Traffic, error) {
	if before == nil {
		return nil, nil
	}
	back := *before
	if _, known := rec.Revisions[back.Revision]; !known {
		return nil, nil // nobody would start its instances again
	}
	back.Instances = nil
	for _, id := range rec.instances(back.Revision) {
		in, err := r.look(id)
		if err != nil {
			return nil, err
		}
		if in.ready() {
			back.Instances = append(back.Instances, route.Instance{ID: id, Address: in.record.address()})
		}
	}
	if len(back.Instances) == 0 {
		return nil, nil
	}
	return &back, nil
}

// replaceByTwin drains and stops everything else but what is kept to go back to,
// and has the twin take the revision's name.
func (r *Runner) replaceByTwin(ctx context.Context, w kind.Work, rec *target) error {
	if err := r.drainAndStop(ctx, w, rec, rec.unkept(twinOf(w.Operation))); err != nil {
		return err
	}
	if err := r.stopStrays(ctx, rec); err != nil {
		return err
	}
	failpoint.Hit("run.after-repair-stop")
	return r.rename(rec, twinOf(w.Operation))
}

// rename has a twin take its revision's name, once nothing else has it.
func (r *Runner) rename(rec *target, twin towpath.RevisionID) error {
	rev := rec.Revisions[twin]
	rev.Before = nil
	rec.Revisions[plain(twin)] = rev
	delete(rec.Revisions, twin)
	return r.saveTarget(rec)
}

// settleTwin tells the router the revision's own name for what has the traffic
// already, whatever became of its instances meanwhile, and closes addresses that
// it does not answer on any more: who keeps instances running knows that name.
func (r *Runner) settleTwin(ctx context.Context, w kind.Work, rec *target) error {
	failpoint.Hit("run.before-repair-settle")
	op := w.Operation
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil {
		return err
	}
	if rt == nil || plain(rt.Traffic.Revision) != op.Spec.Revision {
		return r.direct(ctx, op, rec, op.Spec.Revision, true)
	}
	next := rt.Traffic
	next.Deployment, next.Release = op.Deployment, op.Spec.Release
	return r.call(ctx, op, next, true)
}

// call has the router know what has the traffic by its revision's own name.
func (r *Runner) call(ctx context.Context, op towpath.Operation, t route.Traffic, prune bool) error {
	t.Revision = plain(t.Revision)
	_, err := r.router.Apply(ctx, route.Change{
		Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{t.Listen}, Traffic: &t, Prune: prune,
	})
	return err
}

// adoptTwin ends a repair that was cut off after it had given its twin the
// traffic: by its time, or by somebody who had no patience. Whatever comes next
// has to find the revision under its name.
func (r *Runner) adoptTwin(ctx context.Context, w kind.Work, rec *target) error {
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil || rt == nil || plain(rt.Traffic.Revision) == rt.Traffic.Revision {
		return err
	}
	twin := rt.Traffic.Revision
	if _, known := rec.Revisions[twin]; known {
		if _, old := rec.Revisions[plain(twin)]; old {
			if err := r.drainAndStop(ctx, w, rec, []towpath.RevisionID{plain(twin)}); err != nil {
				return err
			}
		}
		if err := r.rename(rec, twin); err != nil {
			return err
		}
	}
	return r.call(ctx, w.Operation, rt.Traffic, false)
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
	if rev := rec.Revisions[op.Spec.Revision]; rec.wanted() != 1 || rev.Name != twinOf(op) || rev.Failed != "" {
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
