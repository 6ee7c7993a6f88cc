package agent

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/faultfs"
)

const (
	crashDir  = "/var/lib/agent"
	crashPath = crashDir + "/journal"

	smallJournal = 4 << 10 // bytes; a real one is compacted later
)

// story is what an agent writes over two deployments and a restart in between.
// The last but one is so large that the journal is compacted after it.
func story() []line {
	of := func(w what, n int) line { return line{What: w, ID: towpath.OperationID(fmt.Sprintf("op_%d", n))} }
	accepted := func(op towpath.Operation) line { return line{What: wroteAccepted, Operation: &op} }
	done := func(n int, s towpath.ResultStatus) line {
		l := of(wroteDone, n)
		l.Result = &towpath.OperationResult{Status: s}
		return l
	}
	large := testOp(4, "web", 10, towpath.VerbSwitch)
	large.Spec.Rendered = bytes.Repeat([]byte("1"), 5*smallJournal)
	return []line{
		accepted(testOp(1, "api", 3, towpath.VerbPrepare)), of(wroteIntent, 1), of(wroteEffect, 1), done(1, towpath.ResultDone),
		of(wroteReported, 1), accepted(testOp(2, "api", 5, towpath.VerbSwitch)), of(wroteIntent, 2),
		{What: restart},
		accepted(testOp(3, "web", 9, towpath.VerbPrepare)), of(wroteEffect, 2), done(2, towpath.ResultDone), of(wroteReported, 2),
		of(wroteIntent, 3), done(3, towpath.ResultFailed), accepted(large), of(wroteIntent, 4),
	}
}

// restart is no entry: the journal is opened again.
const restart what = "restart"

// teller writes the story and keeps what was acknowledged.
type teller struct {
	fs           *faultfs.FS
	j            *journal
	acknowledged *state
	pending      *line // was begun and not acknowledged
}

// tell writes the story; every step that fails is tried again up to so many
// times, as the agent does.
func (w *teller) tell(tries int) error {
	w.acknowledged = newState()
	for _, l := range append([]line{{What: restart}}, story()...) {
		l.At = clock().UTC()
		w.pending = &l
		err := w.step(l)
		for n := 1; err != nil && n < tries; n++ {
			err = w.step(l)
		}
		if err != nil {
			return err
		}
		if l.What != restart {
			w.acknowledged.apply(l)
		}
		w.pending = nil
	}
	return nil
}

func (w *teller) step(l line) error {
	switch l.What {
	case restart:
		if w.j != nil {
			w.j.close()
		}
		err := makeDir(w.fs, crashDir)
		if err == nil {
			w.j, err = openJournal(w.fs, crashPath, clock)
		}
		if err == nil {
			w.j.small = smallJournal
		}
		return err
	case wroteAccepted:
		_, _, err := w.j.accept(*l.Operation)
		return err
	case wroteDone:
		return w.j.done(l.ID, 0, *l.Result)
	}
	return w.j.record(l)
}

// says is a state as text that can be compared.
func says(t *testing.T, s *state) string {
	t.Helper()
	var buf bytes.Buffer
	for _, l := range s.lines() {
		b, err := encode(l)
		must(t, err)
		buf.Write(b)
	}
	return buf.String()
}

// check asserts the contract of a journal on a machine that went down: every
// acknowledged entry is there and nothing else but perhaps the one that was
// being written, no fence falls, and it goes on.
func (w *teller) check(t *testing.T, chance *rand.Rand) {
	t.Helper()
	fs := w.fs.Reboot(chance)
	must(t, makeDir(fs, crashDir))
	j, err := openJournal(fs, crashPath, clock)
	if err != nil {
		t.Fatalf("does not open: %v\n%q", err, fs.Journal())
	}
	got, want := says(t, j.state), says(t, w.acknowledged)
	if got != want && w.pending != nil && w.pending.What != restart {
		w.acknowledged.apply(*w.pending)
		want = says(t, w.acknowledged)
	}
	if got != want {
		t.Fatalf("after the crash it says\n%.2000s\nand what was acknowledged is\n%.2000s", got, want)
	}
	for _, target := range w.acknowledged.targets {
		late := testOp(98, string(target.Target.Component), target.Fence, towpath.VerbSwitch)
		if _, _, err := j.accept(late); towpath.KindOf(err) != towpath.KindLocked {
			t.Fatalf("fence %d of %s again: %v", late.Fence, late.Target.Component, err)
		}
	}
	next := testOp(99, "api", 50, towpath.VerbSwitch)
	_, _, err = j.accept(next)
	must(t, err, j.intent(next.ID))
	again, err := openJournal(fs.Reboot(chance), crashPath, clock)
	must(t, err)
	if says(t, again.state) != says(t, j.state) {
		t.Fatal("what was written after the crash is lost with the next one")
	}
}

// operations is how many the story makes on the disk.
func operations(t *testing.T) int {
	t.Helper()
	w := &teller{fs: faultfs.New()}
	must(t, w.tell(1))
	return w.fs.Ops()
}

// TestJournal_Crash takes the power away before every operation on the disk,
// and after the last, and lets chance decide what of the unsynced reached it.
func TestJournal_Crash(t *testing.T) {
	of := operations(t)
	for at := 1; at <= of+1; at++ {
		for seed := range uint64(20) {
			w := &teller{fs: faultfs.New()}
			w.fs.CrashAt(at)
			if err := w.tell(1); at <= of && !errors.Is(err, faultfs.ErrCrashed) {
				t.Fatalf("operation %d of %d did not crash: %v", at, of, err)
			}
			w.check(t, rand.New(rand.NewPCG(uint64(at), seed)))
		}
	}
}

// TestJournal_Fault has every operation on the disk fail once: the entry is
// refused, and then written. Soon after, the power goes.
func TestJournal_Fault(t *testing.T) {
	for at := 1; at <= operations(t); at++ {
		for after := 1; after <= 12; after++ {
			w := &teller{fs: faultfs.New()}
			w.fs.FailAt(at, errors.New("input/output error"))
			w.fs.CrashAt(at + after)
			if err := w.tell(2); err != nil && !errors.Is(err, faultfs.ErrCrashed) {
				t.Fatalf("operation %d failed once, and for good: %v", at, err)
			}
			w.check(t, rand.New(rand.NewPCG(uint64(at), uint64(after))))
		}
	}
}
