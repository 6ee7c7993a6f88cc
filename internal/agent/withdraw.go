package agent

import (
	"context"
	"errors"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// withdrawn closes an operation that the server has withdrawn. One that the agent's end
// keeps from being undone stays open: the next start asks for it.
func (a *Agent) withdrawn(ctx context.Context, op towpath.Operation) {
	if a.undo(op) {
		a.close(ctx, op, "withdrawn")
	}
}

// undo ends what a withdrawn repair has started, until something else is to be done on
// its target, which must not wait for it. False: the agent stops.
func (a *Agent) undo(op towpath.Operation) bool {
	repairer, ok := a.runners[op.Spec.Kind].(kind.Repairer)
	if op.Verb != towpath.VerbRepair || !ok {
		return true
	}
	ctx, cancel := a.anew(op)
	if ctx == nil {
		return true // something else is to be done already
	}
	defer cancel(nil)
	if err := repairer.Undo(ctx, a.workOf(op)); err != nil {
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSuperseded) {
			return false
		}
		a.log.WarnContext(ctx, "withdrawn repair not cleaned up; the next one does that", "component", op.Target.Component, "operation", op.ID, "error", err)
	}
	a.collectFiles()
	return true
}

// anew is a context for what is still to be done for a withdrawn operation. It ends with
// the agent, and when something else is to be done on the target, which nil says has
// come already; not when the server says again that the operation is withdrawn.
func (a *Agent) anew(op towpath.Operation) (context.Context, context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	me := a.running[op.Target.Key()]
	if me == nil || me.id != op.ID {
		return nil, nil
	}
	ctx, cancel := me.anew()
	me.cancel = func(cause error) {
		if !errors.Is(cause, errCancelled) {
			cancel(cause)
		}
	}
	return ctx, cancel
}
