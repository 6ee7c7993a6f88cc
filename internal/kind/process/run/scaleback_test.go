package run_test

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
)

// Where there is no memory for both sets, what is gone back from gives way:
// going back must not wait for room that nobody makes.
func TestRunner_GoesBackWithoutRoom(t *testing.T) {
	const each = 50 << 20
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Instances, s.Memory = 4, each }
	h.free = func() (int64, error) { // of a machine that has room for five
		got := h.runs()
		return int64(5-got[one]-got[two]) * each, nil
	}
	h.up(one)
	h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 4})))
	h.must(h.r.Shift(t.Context(), h.scaled(towpath.VerbShift, two, one, 75, towpath.Scale{Instances: 3, Room: 2, Rest: 1})))
	h.wantRuns(1, 3)
	stop := h.load(2)
	h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbRestore, one)))
	if got := h.runs(); got[one] != 4 || got[two] > 1 {
		t.Errorf("%v run, want all of the old ones and at most one of the new ones", got)
	}
	h.must(h.r.Switch(t.Context(), h.work(towpath.VerbRestore, one)))
	h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
	h.wantRuns(4, 0)
	if _, failed := stop(); len(failed) > 0 {
		t.Errorf("%d requests failed, first %q", len(failed), failed[0])
	}
}

// A rollback of all that runs takes the room that it lacks as well; a promotion
// does not.
func TestRunner_RollsBackWithoutRoom(t *testing.T) {
	const each = 50 << 20
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Instances, s.Memory = 4, each }
	h.free = func() (int64, error) { // of a machine that has room for five
		got := h.runs()
		return int64(5-got[one]-got[two]) * each, nil
	}
	h.up(two)
	prepare := h.work(towpath.VerbPrepare, one)
	brief, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	if err := h.r.Prepare(brief, prepare); err == nil {
		t.Error("what is promoted took the room of what runs")
	}
	h.wantRuns(0, 4)
	prepare = h.work(towpath.VerbPrepare, one)
	prepare.Operation.Spec.Back = true
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	h.must(h.r.Prepare(ctx, prepare))
	h.wantRuns(4, 1)
	h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, one)))
	h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
	h.wantRuns(4, 0)
}
