package agent

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// resume goes on with what the journal holds from before the start, after
// asking the server which of it still counts: an operation that was withdrawn
// while nobody worked on it must not run. Of several on one target only the
// last was ever to go on.
func (a *Agent) resume(ctx context.Context) error {
	open := a.journal.open()
	if len(open) == 0 {
		return nil
	}
	ask := make([]agentrpc.OperationFence, len(open))
	for i, as := range open {
		ask[i] = agentrpc.OperationFence{Operation: as.Operation.ID, Fence: as.Operation.Fence}
	}
	answers, err := a.client.Renew(ctx, a.session, ask)
	if err != nil {
		return err
	}
	status := map[towpath.OperationID]agentrpc.RenewStatus{}
	for _, r := range answers {
		status[r.Operation] = r.Status
	}
	for i, as := range open {
		if as.Phase == agentrpc.JournalDone {
			continue
		}
		a.log.InfoContext(ctx, "resuming an operation", "operation", as.Operation.ID, "verb", as.Operation.Verb, "phase", as.Phase)
		if i < len(open)-1 && open[i+1].Operation.Target == as.Operation.Target || status[as.Operation.ID] == agentrpc.RenewSuperseded {
			a.settle(ctx, as)
			continue
		}
		a.start(ctx, as, status[as.Operation.ID] == agentrpc.RenewCancelled)
	}
	a.outbox.kick()
	return nil
}

// settleTimeout bounds asking after an operation that has a successor.
const settleTimeout = 10 * time.Second

// settle ends an operation that a later one of its target has taken over from,
// before that one begins. That it took effect is remembered, if it did.
func (a *Agent) settle(ctx context.Context, as assignment) {
	ask, cancel := context.WithTimeoutCause(ctx, settleTimeout, errSuperseded)
	defer cancel()
	a.execute(ask, as, true)
}

// recovered asks the world about an operation whose intent was written down and
// whose end was not. True: it needs no work any more.
func (a *Agent) recovered(ctx context.Context, r kind.Runner, as assignment, withdrawn bool) bool {
	op := as.Operation
	if op.Verb == towpath.VerbPlan {
		if withdrawn {
			a.close(ctx, op, "withdrawn")
		}
		return withdrawn
	}
	var what kind.Recovery
	for t := a.newTries(); ; {
		var err error
		what, err = r.Recover(ctx, kind.Work{Operation: op, Say: a.sayer(op)})
		if err == nil {
			break
		}
		if ctx.Err() == nil {
			a.log.WarnContext(ctx, "what became of an operation is not known yet", "operation", op.ID, "verb", op.Verb, "error", err)
		}
		if pause(ctx, t.failed()) != nil {
			a.interrupted(ctx, op)
			return true
		}
	}
	a.log.InfoContext(ctx, "operation recovered", "operation", op.ID, "verb", op.Verb, "outcome", what)
	switch {
	case what == kind.RecoveredDone:
		a.effect(ctx, r, op, nil)
	case what == kind.RecoveredUnknown:
		a.finish(ctx, op, towpath.OperationResult{Status: towpath.ResultUnknown,
			Message: "the agent was interrupted and can't tell whether " + string(op.Verb) + " took effect; look, and retry or cancel it"})
	case withdrawn:
		a.withdrawn(ctx, op)
	default:
		return false
	}
	return true
}
