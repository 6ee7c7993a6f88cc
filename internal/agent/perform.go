package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// do has the runner do what the verb says.
func (a *Agent) do(ctx context.Context, r kind.Runner, op towpath.Operation) (*towpath.ComponentPlan, error) {
	w := a.workOf(op)
	switch op.Verb {
	case towpath.VerbPlan:
		plan, err := r.Plan(ctx, w)
		return &plan, err
	case towpath.VerbPrepare:
		err := r.Prepare(ctx, w)
		a.countNow()
		return nil, err
	case towpath.VerbVerifyBefore:
		return nil, r.Verify(ctx, w, kind.BeforeSwitch)
	case towpath.VerbShift:
		s, ok := r.(kind.Shifter)
		if !ok {
			return nil, &kind.Failure{Message: fmt.Sprintf("components of kind %s can't share their traffic: take the canary out of their rollout", op.Spec.Kind)}
		}
		if err := s.Shift(ctx, w); err != nil {
			return nil, err
		}
		a.countNow()
		return nil, r.Verify(ctx, w, kind.AtStep)
	case towpath.VerbSwitch:
		return nil, r.Switch(ctx, w)
	case towpath.VerbVerifyAfter:
		return nil, r.Verify(ctx, w, kind.AfterSwitch)
	case towpath.VerbRetire:
		return nil, r.Retire(ctx, w)
	case towpath.VerbRemove:
		return nil, r.Remove(ctx, w)
	case towpath.VerbRestore:
		if err := r.Prepare(ctx, w); err != nil {
			return nil, err
		}
		return nil, r.Switch(ctx, w)
	case towpath.VerbRepair:
		repairer, ok := r.(kind.Repairer)
		if !ok {
			return nil, &kind.Failure{Message: fmt.Sprintf("components of kind %s can't be repaired by replacement: deploy a release instead", op.Spec.Kind)}
		}
		return nil, repairer.Repair(ctx, w)
	}
	return nil, &kind.Failure{Message: "the agent does not know the verb " + string(op.Verb)}
}

// workOf is an operation as work. Its files are put in place when the runner asks for
// them: what goes back to what runs must not wait for files that nothing starts from.
func (a *Agent) workOf(op towpath.Operation) kind.Work {
	w := kind.Work{Operation: op, Say: a.sayer(op), Planned: a.planned(op)}
	w.Files = func(ctx context.Context) (string, error) {
		switch {
		case op.Spec.Layer == "", op.Verb == towpath.VerbPlan, op.Verb == towpath.VerbRemove:
			return "", nil
		case op.Verb == towpath.VerbRepair:
			return a.files.fresh(ctx, op.Spec.Layer, op.Spec.Size, string(op.ID), w.Say)
		}
		return a.files.fetch(ctx, op.Spec.Layer, op.Spec.Size, w.Say)
	}
	return w
}

// outputsTimeout bounds looking for the outputs of an operation.
const outputsTimeout = 10 * time.Second

// success is the result of a completed operation. Its outputs are read from the
// world, so that they can be had after a crash too.
func (a *Agent) success(ctx context.Context, r kind.Runner, op towpath.Operation, plan *towpath.ComponentPlan) towpath.OperationResult {
	result := towpath.OperationResult{Status: towpath.ResultDone, Plan: plan}
	if op.Verb == towpath.VerbPlan || op.Verb == towpath.VerbRemove {
		return result
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outputsTimeout)
	defer cancel()
	seen, err := r.Observe(ctx)
	if err != nil {
		a.log.WarnContext(ctx, "outputs of an operation not known", "operation", op.ID, "error", err)
		return result
	}
	for _, o := range seen {
		if o.Target == op.Target && o.Address != "" {
			result.Outputs = map[string]string{"address": o.Address}
		}
	}
	return result
}
