package agent

import (
	"context"
	"sync"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/towpath"
)

// maxReports bounds the progress that waits for the server; the oldest is lost
// first. Results are in the journal and are never lost.
const maxReports = 1000

// seqRun is how many seqs one run of an operation has; the last is its end's.
const seqRun = 1 << 20

// outbox is what the server is to be told, in order.
type outbox struct {
	wake    chan struct{}
	mu      sync.Mutex
	reports []agentrpc.ReportRequest
	refused []agentrpc.FinishRequest // of operations that are not in the journal
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

func (o *outbox) kick() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) add(r agentrpc.ReportRequest) {
	o.mu.Lock()
	o.reports = append(o.reports, r)
	o.reports = o.reports[max(0, len(o.reports)-maxReports):]
	o.mu.Unlock()
	o.kick()
}

// refuse keeps the end of an operation that was not accepted until it has been
// told once. When it is lost, its lease runs out and the operation comes again.
func (o *outbox) refuse(r agentrpc.FinishRequest) {
	o.mu.Lock()
	o.refused = append(o.refused, r)
	o.refused = o.refused[max(0, len(o.refused)-maxReports):]
	o.mu.Unlock()
	o.kick()
}

// takeRefused gives the ends of operations that were not accepted, once.
func (o *outbox) takeRefused() []agentrpc.FinishRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.refused
	o.refused = nil
	return list
}

// first is the oldest report.
func (o *outbox) first() (agentrpc.ReportRequest, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.reports) == 0 {
		return agentrpc.ReportRequest{}, false
	}
	return o.reports[0], true
}

// drop removes a report that was delivered, unless it has been pushed out.
func (o *outbox) drop(r agentrpc.ReportRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.reports; len(l) > 0 && l[0].Operation == r.Operation && l[0].Seq == r.Seq {
		o.reports = l[1:]
	}
}

// sayer reports the progress of an operation. Its seqs begin anew with each run
// of the operation, above those of the run before.
func (a *Agent) sayer(op towpath.Operation) func(string) {
	var mu sync.Mutex
	var n int64
	return func(message string) {
		as, ok := a.journal.find(op.ID)
		if !ok {
			return
		}
		mu.Lock()
		n = min(n+1, seqRun-2)
		seq := as.Run*seqRun + n
		mu.Unlock()
		a.outbox.add(agentrpc.ReportRequest{
			Session: a.session, Operation: op.ID, Fence: as.Operation.Fence, Seq: seq, Message: clip(message, maxMessage), At: a.cfg.Now().UTC(),
		})
	}
}

// outboxLoop tells the server what there is to tell, and again until it has
// heard it.
func (a *Agent) outboxLoop(ctx context.Context) error {
	t := a.newTries()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.outbox.wake:
		}
		if !a.connected.Load() {
			continue // hello wakes it
		}
		if a.tell(ctx) {
			t = a.newTries()
			continue
		}
		if err := pause(ctx, t.failed()); err != nil {
			return err
		}
		a.outbox.kick()
	}
}

// tell delivers the reports, then the results; false when some are left.
func (a *Agent) tell(ctx context.Context) bool {
	for {
		r, ok := a.outbox.first()
		if !ok {
			break
		}
		if err := a.client.Report(ctx, r); transient(err) {
			a.log.DebugContext(ctx, "progress not delivered", "operation", r.Operation, "error", err)
			return false
		} else if err != nil {
			a.log.WarnContext(ctx, "progress refused by the server", "operation", r.Operation, "error", err)
		}
		a.outbox.drop(r)
	}
	a.tellRefused(ctx)
	all := true
	for _, as := range a.journal.open() {
		if as.Phase == agentrpc.JournalDone && !a.tellResult(ctx, as) {
			all = false
		}
	}
	return all
}

// tellRefused ends the operations that were not accepted.
func (a *Agent) tellRefused(ctx context.Context) {
	for _, r := range a.outbox.takeRefused() {
		if _, err := a.client.Finish(ctx, r); err != nil {
			a.log.WarnContext(ctx, "refusal not delivered; the operation comes again", "operation", r.Operation, "error", err)
		}
	}
}

func (a *Agent) tellResult(ctx context.Context, as assignment) bool {
	op := as.Operation
	failpoint.Hit("agent.before-report")
	status, err := a.client.Finish(ctx, agentrpc.FinishRequest{
		Session: a.session, Operation: op.ID, Fence: op.Fence, Seq: as.Run*seqRun + seqRun - 1, Result: *as.Result, At: a.cfg.Now().UTC(),
	})
	how := string(status)
	if err != nil {
		a.log.WarnContext(ctx, "result not delivered", "operation", op.ID, "error", err)
		if kind := towpath.KindOf(err); kind != towpath.KindNotFound && kind != towpath.KindInvalid {
			return false
		}
		how = "refused: " + string(towpath.KindOf(err))
	}
	failpoint.Hit("agent.after-report")
	if err := a.journal.reportedFor(op.ID, op.Fence, how); err != nil {
		a.log.ErrorContext(ctx, "end of an operation not recorded; it is told again", "operation", op.ID, "error", err)
		return false
	}
	return true
}

// transient reports whether trying again may help.
func transient(err error) bool {
	switch towpath.KindOf(err) {
	case "", towpath.KindInvalid, towpath.KindNotFound, towpath.KindConflict, towpath.KindForbidden:
		return false
	}
	return true
}
