package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// Why an operation's context ended, when not because the agent stops.
var (
	errSuperseded = errors.New("a later operation of the target took over")
	errCancelled  = errors.New("the server withdrew the operation")
	errTimeout    = errors.New("the operation's time is over")
)

// claimedAgain is that a later claim of the same operation took over, which may not
// have arrived yet: it goes on with it, and not the run of this fence.
type claimedAgain struct{ fence int64 }

func (claimedAgain) Error() string        { return "a later claim of the operation took over" }
func (claimedAgain) Is(target error) bool { return target == errSuperseded }

// running is the one operation that works on a target.
type running struct {
	id     towpath.OperationID
	cancel context.CancelCauseFunc
	anew   func() (context.Context, context.CancelCauseFunc) // once the first has ended
	done   chan struct{}
	lost   bool  // a later claim goes on with the operation
	over   bool  // its result is certain
	fence  int64 // of its last claim, once it is over; later ones are not its
}

// take accepts a claimed operation and starts it. When the journal can't take it the
// server hears why and gives it out again; a run of it that is under way goes on.
func (a *Agent) take(ctx context.Context, op towpath.Operation) {
	log := a.log.With("operation", op.ID, "verb", op.Verb, "component", op.Target.Component, "environment", op.Target.Environment, "fence", op.Fence)
	if op.Target.Place != a.cfg.Place {
		log.WarnContext(ctx, "operation of another place refused", "place", op.Target.Place)
		return
	}
	if why := damaged(op); why != "" {
		log.ErrorContext(ctx, "operation refused", "error", why)
		a.refuse(op, why)
		return
	}
	as, fresh, err := a.journal.accept(op)
	if err != nil {
		log.WarnContext(ctx, "operation refused", "error", err)
		m, hint := towpath.PublicMessage(err)
		switch _, known := a.journal.find(op.ID); {
		case towpath.KindOf(err) == towpath.KindConflict:
			a.refuse(op, sentence(m, hint))
		case towpath.KindOf(err) == towpath.KindUnavailable && !known:
			a.decline(op, towpath.ResultError, sentence(m, hint))
		}
		return
	}
	failpoint.Hit("agent.after-accepted")
	log.InfoContext(ctx, "operation accepted", "phase", as.Phase)
	if as.Phase == agentrpc.JournalDone {
		a.outbox.kick() // done before; only the server does not know
		return
	}
	if !fresh && a.runs(op) {
		return // a new claim of what is running: it runs on, with the new fence
	}
	a.start(ctx, as, false)
}

// runs reports whether a claim is that of a run which has still to end, or
// whose end it got, and which does not stop for it.
func (a *Agent) runs(op towpath.Operation) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.running {
		if r.id == op.ID && !r.lost && (!r.over || r.fence >= op.Fence) {
			return true
		}
	}
	return false
}

// isOver says that an operation runs no more, before its result is told, and
// gives the fence of the last claim that the result is for.
func (a *Agent) isOver(op towpath.Operation) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	fence := op.Fence
	if as, ok := a.journal.find(op.ID); ok {
		fence = as.Operation.Fence
	}
	if r := a.running[op.Target.Key()]; r != nil && r.id == op.ID {
		r.over, r.fence = true, fence
	}
	return fence
}

// start runs an open operation once whatever works on its target has stopped.
// Withdrawn ones are only asked after, not run.
func (a *Agent) start(ctx context.Context, as assignment, withdrawn bool) {
	op := as.Operation
	runCtx, cancel := context.WithCancelCause(ctx)
	me := &running{id: op.ID, cancel: cancel, done: make(chan struct{})}
	me.anew = func() (context.Context, context.CancelCauseFunc) { return context.WithCancelCause(ctx) }
	a.mu.Lock()
	prev := a.running[op.Target.Key()]
	a.running[op.Target.Key()] = me
	a.mu.Unlock()
	a.work.Go(func() {
		defer cancel(nil)
		defer close(me.done)
		if prev != nil {
			a.mu.Lock()
			prev.cancel(errSuperseded)
			a.mu.Unlock()
			<-prev.done
		}
		// Whatever worked before may have ended this very operation.
		if as, open := a.journal.find(op.ID); open && as.Phase != agentrpc.JournalDone {
			a.execute(runCtx, as, withdrawn)
		}
		a.mu.Lock()
		if a.running[op.Target.Key()] == me {
			delete(a.running, op.Target.Key())
		}
		a.mu.Unlock()
		a.outbox.kick()
		a.observeNow()
	})
}

// cancel stops an operation if it runs.
func (a *Agent) cancel(id towpath.OperationID, cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.running {
		if r.id == id {
			r.lost = r.lost || errors.Is(cause, errSuperseded)
			r.cancel(cause)
		}
	}
}

// execute brings an open operation to its result, from the phase it is in. When
// the agent stops meanwhile, the journal keeps it as it is.
func (a *Agent) execute(ctx context.Context, as assignment, withdrawn bool) {
	op := as.Operation
	op.Spec.Rendered = once(op.Spec.Rendered)
	runner, ok := a.runners[op.Spec.Kind]
	if !ok {
		a.finish(ctx, op, towpath.OperationResult{Status: towpath.ResultFailed,
			Message: fmt.Sprintf("the agent of %s can't run components of kind %q", a.cfg.Place, op.Spec.Kind)})
		return
	}
	switch as.Phase {
	case agentrpc.JournalAccepted:
		if withdrawn {
			a.close(ctx, op, "withdrawn")
			return
		}
		if result, again := a.journal.result(op); again {
			a.finish(ctx, op, result)
			return
		}
		auth, err := a.authorise(as.Operation)
		if err != nil {
			a.log.ErrorContext(ctx, "operation not authorised", "operation", op.ID, "error", err)
			m, hint := towpath.PublicMessage(err)
			a.finish(ctx, op, towpath.OperationResult{Status: towpath.ResultFailed, Message: sentence(m, hint)})
			return
		}
		if err := a.keepsToPlan(ctx, runner, op, auth); err != nil {
			a.ended(ctx, op, err)
			return
		}
		if err := a.released(ctx, op, auth); err != nil {
			a.ended(ctx, op, err)
			return
		}
	case agentrpc.JournalIntent:
		if a.recovered(ctx, runner, as, withdrawn) {
			return
		}
	case agentrpc.JournalEffect:
		if op.Verb != towpath.VerbPlan {
			a.finish(ctx, op, a.success(ctx, runner, op, nil))
			return
		} // a plan changes nothing, and what it said was lost: it is made again
	}
	a.perform(ctx, runner, op)
}

// once is settings in the canonical form, which says everything once: of what is
// said twice the hash has the last, and who reads it into a structure gets both.
func once(settings json.RawMessage) json.RawMessage {
	if len(settings) == 0 {
		return settings
	}
	canonical, err := oci.Canonical(settings)
	if err != nil {
		return settings // which no release holds
	}
	return canonical
}

// perform writes the intent down, does the work and writes down what came of it.
func (a *Agent) perform(ctx context.Context, runner kind.Runner, op towpath.Operation) {
	if !a.persist(ctx, op, func() error { return a.journal.intent(op.ID) }) {
		a.interrupted(ctx, op)
		return
	}
	failpoint.Hit("agent.after-intent")
	workCtx := ctx
	if op.Spec.Timeout > 0 && !waitsBounded(op.Verb) {
		var cancel context.CancelFunc
		workCtx, cancel = context.WithTimeoutCause(ctx, op.Spec.Timeout, errTimeout)
		defer cancel()
	}
	plan, err := a.do(workCtx, runner, op)
	if err == nil {
		a.effect(ctx, runner, op, plan)
		return
	}
	if workCtx.Err() != nil && !verdict(err) {
		err = &kind.Failure{Message: fmt.Sprintf("%s did not end within %s", op.Verb, op.Spec.Timeout)}
	}
	a.ended(ctx, op, err)
	if op.Verb == towpath.VerbRepair {
		a.collectFiles() // those that it began with
	}
}

// waitsBounded reports whether all that a verb waits for is how long requests and
// processes may take to end, which its own settings bound. The deployment's time for a
// step may be less than that: cut off and begun anew, such a step would never end.
func waitsBounded(v towpath.Verb) bool { return v == towpath.VerbRetire || v == towpath.VerbRemove }

// verdict reports whether an error says something about the release or its base.
func verdict(err error) bool {
	failure, moved := new(kind.Failure), new(kind.Stale)
	return errors.As(err, &failure) || errors.As(err, &moved)
}

// ended takes the error that an operation ended with: the release's failure, a
// base that moved, the end of ctx, or an error of the place.
func (a *Agent) ended(ctx context.Context, op towpath.Operation, err error) {
	failure, moved := new(kind.Failure), new(kind.Stale)
	switch {
	case ctx.Err() != nil:
		a.interrupted(ctx, op)
	case errors.As(err, &failure):
		a.finish(ctx, op, towpath.OperationResult{Status: towpath.ResultFailed, Message: failure.Message, Log: failure.Log})
	case errors.As(err, &moved):
		a.finish(ctx, op, staleResult(moved))
	default:
		a.log.ErrorContext(ctx, "operation hit an error; it will be tried again", "operation", op.ID, "verb", op.Verb, "error", err)
		m, hint := towpath.PublicMessage(err)
		a.finish(ctx, op, towpath.OperationResult{Status: towpath.ResultError, Message: sentence(m, hint)})
	}
}

// outputRunning is the output of a stale operation that names what runs.
const outputRunning = "running"

func staleResult(moved *kind.Stale) towpath.OperationResult {
	return towpath.OperationResult{
		Status: towpath.ResultStale, Message: moved.Message + "; nothing was changed: plan again",
		Outputs: map[string]string{outputRunning: string(moved.Running)},
	}
}

// effect writes down that the work is complete, and then its result, also when
// ctx has ended meanwhile: the work has been done.
func (a *Agent) effect(ctx context.Context, runner kind.Runner, op towpath.Operation, plan *towpath.ComponentPlan) {
	failpoint.Hit("agent.before-effect")
	if !a.persist(ctx, op, func() error { return a.journal.effect(op.ID) }) {
		return // the next start asks for it
	}
	failpoint.Hit("agent.after-effect")
	a.finish(ctx, op, a.success(ctx, runner, op, plan))
	if op.Verb == towpath.VerbRetire || op.Verb == towpath.VerbRemove || op.Verb == towpath.VerbRepair {
		a.collectFiles()
	}
}

// interrupted leaves the journal alone when the agent stops, and closes an
// operation that somebody else has taken over or withdrawn.
func (a *Agent) interrupted(ctx context.Context, op towpath.Operation) {
	cause, again := context.Cause(ctx), claimedAgain{}
	switch {
	case errors.As(cause, &again):
		a.closed(ctx, op, "claimed again", a.journal.reportedFor(op.ID, again.fence, "claimed again"))
	case errors.Is(cause, errSuperseded):
		a.close(ctx, op, "superseded")
	case errors.Is(cause, errCancelled):
		a.withdrawn(ctx, op)
	}
}

func (a *Agent) close(ctx context.Context, op towpath.Operation, how string) {
	a.closed(ctx, op, how, a.journal.reported(op.ID, how))
}

func (a *Agent) closed(ctx context.Context, op towpath.Operation, how string, err error) {
	a.log.InfoContext(ctx, "operation closed", "operation", op.ID, "verb", op.Verb, "how", how)
	if err != nil {
		a.log.ErrorContext(ctx, "end of an operation not recorded; the next start closes it", "operation", op.ID, "error", err)
	}
}

// finish keeps the result; the outbox tells it.
func (a *Agent) finish(ctx context.Context, op towpath.Operation, r towpath.OperationResult) {
	r = bounded(r)
	fence := a.isOver(op)
	if !a.persist(ctx, op, func() error { return a.journal.done(op.ID, fence, r) }) {
		if as, open := a.journal.find(op.ID); open && as.Operation.Fence == fence {
			a.interrupted(ctx, op) // otherwise the run of a later claim goes on with it
		}
		return
	}
	a.log.InfoContext(ctx, "operation ended", "operation", op.ID, "verb", op.Verb, "status", r.Status, "message", r.Message)
	failpoint.Hit("agent.after-done")
	a.outbox.kick()
}

// persist writes to the journal what an operation has come to, trying again while
// the disk refuses, which the server hears; false when ctx ended first.
func (a *Agent) persist(ctx context.Context, op towpath.Operation, write func() error) bool {
	for t, said := a.newTries(), false; ; {
		err := write()
		if err == nil {
			return true
		}
		if !said {
			said = true
			m, hint := towpath.PublicMessage(err)
			a.sayer(op)(sentence(m, hint))
			a.outbox.kick()
		}
		a.log.ErrorContext(ctx, "journal not written; trying again", "error", err)
		if pause(ctx, t.failed()) != nil {
			return false
		}
	}
}

func sentence(message, hint string) string {
	if hint == "" {
		return message
	}
	return message + "; " + hint
}
