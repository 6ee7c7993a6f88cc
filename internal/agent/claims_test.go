package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/faultfs"
)

// hiccup is a runner whose first plan meets an error, just as the disk does.
type hiccup struct {
	kind.Runner
	disk  *faultfs.FS
	plans int
}

func (h *hiccup) Kind() towpath.ComponentKind { return towpath.KindProcess }

func (h *hiccup) Plan(context.Context, kind.Work) (towpath.ComponentPlan, error) {
	if h.plans++; h.plans == 1 {
		h.disk.FailAt(1, errors.New("input/output error"))
		return towpath.ComponentPlan{}, errors.New("the place is not ready")
	}
	return towpath.ComponentPlan{}, nil
}

// newHiccup is an agent with such a runner, whose journal is on its disk.
func newHiccup(t *testing.T, dir string) (*Agent, *hiccup) {
	t.Helper()
	r := &hiccup{disk: faultfs.New()}
	must(t, makeDir(r.disk, crashDir))
	a, err := New(Config{Dir: dir, Place: "local", Now: clock, Extract: halves, Released: &Verified{}}, nil, []kind.Runner{r}, slog.New(slog.DiscardHandler))
	must(t, err)
	a.journal, err = openJournal(r.disk, crashPath, clock)
	must(t, err)
	return a, r
}

// TestAgent_ClaimedAgainAtItsEnd: a lease runs out when an operation has met an
// error and that is not written down yet. The next claim is another try.
func TestAgent_ClaimedAgainAtItsEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, r := newHiccup(t, dir)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()

		a.take(ctx, issued(t, testOp(1, "api", 1, towpath.VerbPlan)))
		synctest.Wait() // it waits for the disk
		a.take(ctx, issued(t, testOp(1, "api", 2, towpath.VerbPlan)))
		a.work.Wait()
		as, ok := a.journal.find("op_1")
		if !ok || as.Operation.Fence != 2 || as.Phase != agentrpc.JournalDone || as.Result.Status != towpath.ResultDone || r.plans != 2 {
			t.Errorf("after %d tries: %+v", r.plans, as)
		}
	})
}

// TestAgent_DiskThatRefuses: an operation that the journal can't take is an error of
// the place, which the server hears; one that it can't follow says so meanwhile.
func TestAgent_DiskThatRefuses(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, r := newHiccup(t, dir)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()

		op := issued(t, testOp(1, "api", 1, towpath.VerbPlan))
		r.disk.FailAt(1, errors.New("no space left on device"))
		a.take(ctx, op)
		got := a.outbox.takeRefused()
		if len(got) != 1 || got[0].Operation != op.ID || got[0].Result.Status != towpath.ResultError || !strings.Contains(got[0].Result.Message, "check the disk's free space") {
			t.Errorf("refused as %+v", got)
		}

		op.Fence = 2
		a.take(ctx, op)
		a.work.Wait()
		said, ok := a.outbox.first()
		if !ok || said.Operation != op.ID || !strings.Contains(said.Message, "check the disk's free space") {
			t.Errorf("said %+v", said)
		}
		if as, ok := a.journal.find(op.ID); !ok || as.Phase != agentrpc.JournalDone {
			t.Errorf("it is %+v", as)
		}
	})
}

// TestAgent_ClaimedAgainAsItStops: who learns that a claim has ended before the next one of
// the same operation arrives stops, and does not take that one along.
func TestAgent_ClaimedAgainAsItStops(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &slow{stopping: make(chan struct{})}
		a, err := New(Config{Dir: dir, Place: "local", Now: clock, Extract: halves, Released: &Verified{}}, superseding{}, []kind.Runner{r}, slog.New(slog.DiscardHandler))
		must(t, err)
		disk := faultfs.New()
		must(t, makeDir(disk, crashDir))
		a.journal, err = openJournal(disk, crashPath, clock)
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()

		a.take(ctx, issued(t, testOp(1, "api", 1, towpath.VerbPlan)))
		synctest.Wait() // it works
		a.renew(ctx)
		synctest.Wait() // it stops, which takes a while
		a.take(ctx, issued(t, testOp(1, "api", 2, towpath.VerbPlan)))
		close(r.stopping)
		a.work.Wait()
		as, ok := a.journal.find("op_1")
		if !ok || as.Operation.Fence != 2 || as.Phase != agentrpc.JournalDone || r.plans != 2 {
			t.Errorf("after %d tries: %v, %+v", r.plans, ok, as)
		}
	})
}

// slow is a runner whose first plan has no end, and takes a while to stop.
type slow struct {
	kind.Runner
	stopping chan struct{}
	plans    int
}

func (s *slow) Kind() towpath.ComponentKind { return towpath.KindProcess }

func (s *slow) Plan(ctx context.Context, _ kind.Work) (towpath.ComponentPlan, error) {
	if s.plans++; s.plans > 1 {
		return towpath.ComponentPlan{}, nil
	}
	<-ctx.Done()
	<-s.stopping
	return towpath.ComponentPlan{}, context.Cause(ctx)
}

// superseding is a server that has given out again whatever it is asked for.
type superseding struct{ Client }

func (superseding) Renew(_ context.Context, _ string, ops []agentrpc.OperationFence) (out []agentrpc.RenewResult, err error) {
	for _, op := range ops {
		out = append(out, agentrpc.RenewResult{Operation: op.Operation, Fence: op.Fence, Status: agentrpc.RenewSuperseded})
	}
	return out, nil
}

// TestAgent_ClaimOfARun: a run that is over has the claims that came before.
func TestAgent_ClaimOfARun(t *testing.T) {
	op := testOp(1, "api", 2, towpath.VerbPlan)
	for fence, its := range map[int64]bool{1: true, 2: true, 3: false} {
		a := &Agent{running: map[string]*running{op.Target.Key(): {id: op.ID, over: true, fence: 2}}}
		if op.Fence = fence; a.runs(op) != its {
			t.Errorf("the claim with fence %d is the run's: %v", fence, !its)
		}
	}
}

func issued(t *testing.T, op towpath.Operation) towpath.Operation {
	t.Helper()
	var err error
	op.SpecDigest, err = op.Spec.Digest()
	must(t, err)
	return op
}
