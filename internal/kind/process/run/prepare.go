package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Prepare runs the revision beside what runs, until every instance is healthy.
// The component's address exists from here on, so that others can be told it.
// When the revision fails, what this operation started is stopped.
func (r *Runner) Prepare(ctx context.Context, w kind.Work) error {
	return r.untilMemory(ctx, w, r.prepare)
}

func (r *Runner) prepare(ctx context.Context, w kind.Work) error {
	op := w.Operation
	turn, err := r.turn(ctx, op.Target)
	if err != nil {
		return err
	}
	defer turn.end()
	spec, err := specOf(op.Spec.Rendered)
	if err != nil {
		return err
	}
	if err := r.baseMoved(ctx, w); err != nil {
		return err
	}
	if err := r.haveFiles(ctx, w, turn); err != nil {
		return err
	}
	if err := r.openAddress(ctx, op, spec.Listen); err != nil {
		return err
	}
	rec, err := r.loadTarget(op.Target)
	if err != nil {
		return err
	}
	if err := r.adoptTwin(ctx, w, rec); err != nil {
		return err
	}
	if err := r.note(ctx, w, rec, spec); err != nil {
		return err
	}
	if err := r.wantAgain(rec, op.Spec.Revision); err != nil {
		return err
	}
	if err := r.makeRoom(ctx, w, rec); err != nil {
		return err
	}
	if err := r.giveBack(ctx, w, rec); err != nil {
		return err
	}
	if err = r.findMemory(ctx, w, rec); err == nil {
		err = r.enough(ctx, w, rec, r.bringUpBeside(ctx, w, rec, turn))
	}
	if err == nil {
		err = r.openPreview(ctx, w, rec)
	}
	if failure := new(kind.Failure); errors.As(err, &failure) {
		if serr := r.takeDown(ctx, op, rec); serr != nil {
			r.log.WarnContext(ctx, "failed revision not stopped yet", "component", op.Target.Component, "operation", op.ID, "error", serr)
		}
	}
	if err == nil {
		failpoint.Hit("run.after-healthy")
	}
	return err
}

// note records a revision that is prepared, and for whom: its metrics name both
// before it has traffic, as they do after.
func (r *Runner) note(ctx context.Context, w kind.Work, rec *target, spec process.Spec) error {
	op := w.Operation
	rev, known := rec.Revisions[op.Spec.Revision]
	switch {
	case !known:
		files, err := w.Files(ctx)
		if err != nil {
			return err
		}
		rev = revision{Spec: spec, Files: files, Operation: op.ID, Rendered: op.Spec.Rendered}
	case rev.Deployment == op.Deployment && rev.Release == op.Spec.Release:
		return nil
	}
	rev.Deployment, rev.Release = op.Deployment, op.Spec.Release
	rec.Revisions[op.Spec.Revision] = rev
	return r.saveTarget(rec)
}

// baseMoved is a [*kind.Stale] when another revision has the traffic than those
// that the plan names. Where nothing has it, nothing can be replaced unseen.
func (r *Runner) baseMoved(ctx context.Context, w kind.Work) error {
	if !w.Planned {
		return nil
	}
	op := w.Operation
	rt, err := r.routeOf(ctx, op.Target)
	if err != nil || rt == nil {
		return err
	}
	switch plain(rt.Traffic.Revision) {
	case "", op.Spec.Previous, op.Spec.Revision:
		return nil
	}
	planned := "nothing"
	if op.Spec.Previous != "" {
		planned = string(op.Spec.Previous)
	}
	running := plain(rt.Traffic.Revision)
	return &kind.Stale{Running: running, Message: fmt.Sprintf(
		"the plan was made when %s had the traffic of %s, and now %s has it", planned, op.Target.Component, running)}
}

// openAddress makes the router listen. An address that is taken is the
// release's failure: its settings chose it.
func (r *Runner) openAddress(ctx context.Context, op towpath.Operation, listen string) error {
	_, err := r.router.Apply(ctx, route.Change{Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{listen}})
	if towpath.KindOf(err) == towpath.KindConflict {
		m, hint := towpath.PublicMessage(err)
		return &kind.Failure{Message: m + "; " + hint}
	}
	return err
}

// bringUp starts what does not run and waits until all of it is healthy.
func (r *Runner) bringUp(ctx context.Context, w kind.Work, rec *target, ran ...string) error {
	if err := r.startAll(ctx, w, rec, ran...); err != nil {
		return err
	}
	return r.awaitAll(ctx, w, rec)
}

// bringUpBeside is bringUp of a revision that is prepared beside the one that has the
// traffic, which [Runner.Keep] keeps while this one starts. Nobody else comes in
// between: an operation of the target begins when the one before it has ended. Of the
// record Keep only takes what was kept for long enough; nothing of this revision, and
// the operation does not write it any more. It is not lent by one that has traffic
// itself, which Keep would start again while this operation waits for it, nor by what
// goes back: it may have its memory from what it goes back from.
func (r *Runner) bringUpBeside(ctx context.Context, w kind.Work, rec *target, x *turn) error {
	if err := r.startAll(ctx, w, rec); err != nil {
		return err
	}
	rt, err := r.routeOf(ctx, rec.Target)
	if err != nil {
		return err
	}
	if w.Operation.Verb != towpath.VerbPrepare || rt == nil || hasTraffic(rt.Traffic, w.Operation.Spec.Revision) {
		return r.awaitAll(ctx, w, rec)
	}
	return x.lend(ctx, func() error { return r.awaitAll(ctx, w, rec) })
}

// startAll starts what does not run of an operation's revision. What crashed is
// started again, but for what this operation has started, and those that ran when it
// began.
func (r *Runner) startAll(ctx context.Context, w kind.Work, rec *target, ran ...string) error {
	op := w.Operation
	if err := r.useFiles(ctx, w, rec); err != nil {
		return err
	}
	for i, id := range rec.instances(op.Spec.Revision) {
		in, err := r.settled(ctx, id)
		if err != nil {
			return err
		}
		if in.life == running {
			continue
		}
		if in.crashed() && in.spec.Operation == op.ID {
			return crashFailure(in)
		}
		if in.crashed() && slices.Contains(ran, id) {
			return crashedSince(in, i)
		}
		next, err := r.instanceSpec(ctx, op, rec, i)
		if err != nil {
			return err
		}
		next.Start = in.spec.Start
		if in.life != wanted {
			next.Start++
		}
		if err := r.start(next); err != nil {
			return err
		}
	}
	return nil
}

// awaitAll waits until all of an operation's revision is healthy.
func (r *Runner) awaitAll(ctx context.Context, w kind.Work, rec *target) error {
	rev := w.Operation.Spec.Revision
	ids := rec.instances(rev)
	w.Say(fmt.Sprintf("waiting for %d instances to be healthy", len(ids)))
	g, gctx := errgroup.WithContext(ctx)
	for _, id := range ids {
		g.Go(func() error { return r.awaitHealthy(gctx, id, rec.Revisions[rev].Spec) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// instanceSpec is what one of a revision's shims is to run.
func (r *Runner) instanceSpec(ctx context.Context, op towpath.Operation, rec *target, index int) (instanceSpec, error) {
	rev := rec.Revisions[op.Spec.Revision]
	env, err := r.environment(ctx, rec.Target, op.Spec.Revision, rev.Spec)
	if err != nil {
		return instanceSpec{}, err
	}
	prog, err := r.program(rev.Spec.Command[0], rev.Files)
	if err != nil {
		return instanceSpec{}, err
	}
	dir, err := workDir(rev.Spec, rev.Files)
	if err != nil {
		return instanceSpec{}, err
	}
	return instanceSpec{
		ID: rec.instance(op.Spec.Revision, index), Operation: op.ID, Target: rec.Target, Revision: op.Spec.Revision, Index: index,
		Command: append([]string{prog}, rev.Spec.Command[1:]...), WorkDir: dir, Env: env,
		StopGrace: rev.Spec.StopGrace, MaxBytes: rev.Spec.Logs.MaxBytes, Keep: rev.Spec.Logs.Keep,
	}, nil
}

// takeDown stops the instances of a failed revision that this operation
// started, unless they have the traffic.
func (r *Runner) takeDown(ctx context.Context, op towpath.Operation, rec *target) error {
	st, err := r.router.Status(ctx)
	if err != nil {
		return err
	}
	if rt, ok := st.Find(op.Target.Key()); ok && hasTraffic(rt.Traffic, op.Spec.Revision) {
		return nil
	}
	for _, id := range rec.instances(op.Spec.Revision) {
		in, err := r.look(id)
		if err != nil {
			return err
		}
		if in.life == running && in.spec.Operation == op.ID {
			err = r.endShim(ctx, id, in.spec.StopGrace+shimGrace)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// healthPoll is how soon the first probes follow each other; they slow down to
// the spec's interval.
const healthPoll = 20 * time.Millisecond

// awaitHealthy waits for one instance. One that ends, or is not healthy by its
// deadline, is the release's failure; a shim that does not start is not.
func (r *Runner) awaitHealthy(ctx context.Context, id string, spec process.Spec) error {
	h := spec.Health
	deadline, cancel := context.WithTimeout(ctx, h.Deadline)
	defer cancel()
	pause := healthPoll
	neverAsked := errors.New("it was never asked")
	last := neverAsked
	for {
		in, err := r.look(id)
		if err != nil {
			return err
		}
		if in.crashed() {
			return crashFailure(in)
		}
		if in.ready() {
			err := r.healthy(deadline, in.record.address(), spec)
			if err == nil {
				return nil
			}
			if deadline.Err() == nil || errors.Is(last, neverAsked) { // what the deadline cuts off says less than what was said before
				last = err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.Done():
			if !in.ready() {
				return towpath.E(towpath.KindUnavailable, "process.prepare", "the shim of an instance did not start within %s", h.Deadline).On(id).
					WithHint("see %s in %s", shimLog, in.dir)
			}
			return &kind.Failure{Message: fmt.Sprintf("an instance was not healthy within %s: %v", h.Deadline, last), Log: tail(in.dir)}
		case <-time.After(pause):
			pause = min(pause*3/2, h.Interval)
		}
	}
}

func crashFailure(in *instance) error {
	return &kind.Failure{Message: "an instance " + in.exit.String() + " before it was healthy", Log: tail(in.dir)}
}

// others lists the revisions of a target but one, in a stable order.
func (t *target) others(but towpath.RevisionID) []towpath.RevisionID {
	var out []towpath.RevisionID
	for id := range t.Revisions {
		if id != but {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}
