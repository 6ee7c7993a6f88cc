package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// What goes back must not wait for the last instance of what ran before: users
// are hurt meanwhile. So those that answer get all of the traffic at once, and
// what can't be brought up of it is no reason to leave traffic with a revision
// that hurts; that it is not healthy is observed like of anything that runs.

// giveBack sends all traffic to what answers of the revision that is restored, if
// that is half of it at least. Where instances go by numbers there may be too few.
func (r *Runner) giveBack(ctx context.Context, w kind.Work, rec *target) error {
	if w.Operation.Verb != towpath.VerbRestore || w.Operation.Spec.Scale != nil {
		return nil
	}
	answer, err := r.answering(ctx, rec, w.Operation.Spec.Revision, quick)
	if err != nil || len(answer) == 0 || 2*len(answer) < len(rec.instances(w.Operation.Spec.Revision)) {
		return err
	}
	return r.sendTo(ctx, w.Operation, rec, answer)
}

// enough takes a failure to bring up all of what is restored for success, as long
// as anything of it answers.
func (r *Runner) enough(ctx context.Context, w kind.Work, rec *target, err error) error {
	failure := new(kind.Failure)
	if w.Operation.Verb != towpath.VerbRestore || !errors.As(err, &failure) {
		return err
	}
	answer, lerr := r.answering(ctx, rec, w.Operation.Spec.Revision, patient)
	if lerr != nil || len(answer) == 0 {
		return err
	}
	w.Say(fmt.Sprintf("only %d of %d instances of what ran before answer, and they get the traffic: %s",
		len(answer), len(rec.instances(w.Operation.Spec.Revision)), failure.Message))
	return nil
}

// switchBack sends all traffic to what answers of the revision that is restored.
func (r *Runner) switchBack(ctx context.Context, op towpath.Operation, rec *target) error {
	answer, err := r.answering(ctx, rec, op.Spec.Revision, patient)
	if err != nil {
		return err
	}
	if len(answer) == 0 {
		return &kind.Failure{Message: "nothing of what ran before answers its health check"}
	}
	return r.sendTo(ctx, op, rec, answer)
}

// How long a health check may take, besides its own limit: users wait meanwhile
// for the quick one, and for nothing for the patient one.
const (
	quick   = time.Second
	patient = time.Hour
)

// answering lists the instances of a revision that are healthy now.
func (r *Runner) answering(ctx context.Context, rec *target, rev towpath.RevisionID, limit time.Duration) ([]route.Instance, error) {
	ids, h := rec.instances(rev), rec.Revisions[rev].Spec.Health
	h.Timeout = min(h.Timeout, limit)
	found := make([]*route.Instance, len(ids))
	var asked sync.WaitGroup
	for i, id := range ids {
		in, err := r.look(id)
		if err != nil {
			return nil, err
		}
		if !in.ready() {
			continue
		}
		asked.Go(func() {
			if r.healthy(ctx, in.record.address(), h) == nil {
				found[i] = &route.Instance{ID: id, Address: in.record.address()}
			}
		})
	}
	asked.Wait()
	var out []route.Instance
	for _, in := range found {
		if in != nil {
			out = append(out, *in)
		}
	}
	return out, context.Cause(ctx)
}

// sendTo sends all traffic to some instances of the operation's revision.
func (r *Runner) sendTo(ctx context.Context, op towpath.Operation, rec *target, instances []route.Instance) error {
	t := route.Traffic{
		Revision: op.Spec.Revision, Listen: rec.Revisions[op.Spec.Revision].Spec.Listen, Instances: instances,
		Deployment: op.Deployment, Release: op.Spec.Release,
	}
	_, err := r.router.Apply(ctx, route.Change{
		Route: op.Target.Key(), Fence: op.Fence, Operation: op.ID, Listen: []string{t.Listen}, Traffic: &t,
	})
	return err
}
