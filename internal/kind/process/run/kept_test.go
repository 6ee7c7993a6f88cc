package run_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/run"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// keep is a retirement that leaves what was replaced for an hour.
func (h *hand) keep(revision string) kind.Work {
	h.t.Helper()
	w := h.work(towpath.VerbRetire, revision)
	w.Operation.Spec.Keep = time.Hour
	return w
}

// at has the runner of a world see another time.
func (h *hand) at(now func() time.Time) *run.Runner {
	h.t.Helper()
	h.now = now
	return h.processes(h.t)
}

func TestRunner_Keeps(t *testing.T) {
	t.Run("what was replaced, so that going back starts nothing", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		h.up(two)
		w := h.keep(two)
		for range 2 { // done twice it is kept all the same
			h.must(h.r.Retire(t.Context(), w))
			h.wantRuns(1, 1)
		}
		spec, _ := h.Spec(t, one)
		if o := h.observed(); o.Kept != spec.Revision || time.Until(o.KeptUntil) < 59*time.Minute {
			t.Errorf("observed %+v", o)
		}
		if counts, err := h.r.Counts(t.Context()); err != nil || len(counts) != 1 || counts[0].Shared {
			t.Errorf("counted %+v, %v: nothing shares the traffic", counts, err)
		}
		h.r = h.processes(t) // the agent was restarted meanwhile
		h.must(h.r.Keep(t.Context()))
		h.wantRuns(1, 1)
		h.up(one)
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
		h.wantRuns(1, 0)
		if n := h.Starts(t, one); n != 1 {
			t.Errorf("started %d times", n)
		}
		if o := h.observed(); o.Kept != "" || !o.KeptUntil.IsZero() {
			t.Errorf("observed %+v", o)
		}
	})
	t.Run("it for as long as was said, and one only", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.keep(two)))
		h.r = h.at(func() time.Time { return time.Now().Add(59 * time.Minute) })
		h.must(h.r.Keep(t.Context()))
		h.wantRuns(1, 1)
		h.r = h.at(func() time.Time { return time.Now().Add(61 * time.Minute) })
		h.must(h.r.Keep(t.Context()))
		h.wantRuns(0, 1)

		h.r = h.at(time.Now)
		h.up(one)
		h.must(h.r.Retire(t.Context(), h.keep(one)))
		h.wantRuns(1, 1) // two is kept now
		h.change = func(s *process.Spec) { s.StopGrace = 4 * time.Second }
		h.up(one) // another revision of one
		h.must(h.r.Retire(t.Context(), h.keep(one)))
		if n := len(h.glob("instances/*")); n != 2 {
			t.Errorf("%d instances are left, want the new one and the one before", n)
		}
		if o := h.observed(); o.Kept == "" {
			t.Errorf("observed %+v", o)
		}
	})
	t.Run("nothing that is wanted again, although the agent died before it had written that down", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.keep(two)))
		if got, err := h.r.Recover(t.Context(), h.work(towpath.VerbPrepare, one)); err != nil || got != kind.RecoveredNotStarted {
			t.Errorf("recovered as %q, %v: nobody would take back that it is only kept", got, err)
		}
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, one))) // as if it had been done
		h.r = h.at(func() time.Time { return time.Now().Add(61 * time.Minute) })
		h.must(h.r.Keep(t.Context()))
		h.wantRuns(1, 1)
		if got, o := kindtest.Get(h.url()), h.observed(); got != one || o.Kept != "" {
			t.Errorf("%q answers, observed %+v", got, o)
		}
	})
	t.Run("no way back of what has ended meanwhile", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.keep(two)))
		h.Kill(t, one)
		h.eventually("its end is noticed", func() bool { return h.observed().Kept == "" })
		h.must(h.r.Keep(t.Context())) // nothing needs it
		h.wantRuns(0, 1)
		h.up(one) // it is started again when somebody does
		h.wantRuns(1, 1)
	})
	t.Run("it although the next one failed", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.keep(two)))
		h.change = func(s *process.Spec) { s.StopGrace = 4 * time.Second }
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one))) // another revision of one
		h.change = func(*process.Spec) {}
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		h.wantRuns(1, 1)
		if n := len(h.glob("instances/*")); n != 2 {
			t.Errorf("%d instances are left, want two and the one before", n)
		}
	})
}

func TestRunner_Preview(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Preview = "127.0.0.1:0" }
	h.up(one)
	h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
	if o := h.observed(); o.Preview != "" {
		t.Fatalf("observed %+v while there is nothing to look at", o)
	}
	h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
	o := h.observed()
	if got := kindtest.Get("http://" + o.Preview); got != two {
		t.Errorf("the preview at %q answers %q", o.Preview, got)
	}
	if got := kindtest.Get(h.url()); got != one {
		t.Errorf("%q has the traffic", got)
	}
	h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
	if got := h.observed(); got.Preview != "" {
		t.Errorf("%q is said to be looked at before it has traffic, and has all of it", got.Preview)
	}
	h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
	if got := kindtest.Get("http://" + o.Preview); got != "" {
		t.Errorf("the preview still answers %q", got)
	}
	restore := h.work(towpath.VerbRestore, one) // what comes back is not shown
	h.must(h.r.Prepare(t.Context(), restore))
	if o := h.observed(); o.Preview != "" {
		t.Errorf("observed %+v", o)
	}
	// Its instances run, and nobody can look at them: an agent that died in between
	// has not prepared it.
	again := h.work(towpath.VerbPrepare, one)
	if got, err := h.r.Recover(t.Context(), again); err != nil || got != kind.RecoveredNotStarted {
		t.Errorf("recovered as %q, %v", got, err)
	}
	h.must(h.r.Prepare(t.Context(), again))
	if got, err := h.r.Recover(t.Context(), again); err != nil || got != kind.RecoveredDone {
		t.Errorf("recovered as %q, %v, once it is shown", got, err)
	}
}

// TestRunner_VerifiesThePreview: its jobs ask as those do who look at the new
// revision, and the one with the users goes on whatever they find.
func TestRunner_VerifiesThePreview(t *testing.T) {
	h := newHand(t)
	h.up(one)
	var before, jobs []process.Job
	h.change = func(s *process.Spec) {
		s.Preview, s.Verify.Before, s.Verify.Preview = "127.0.0.1:0", before, jobs
	}
	before = []process.Job{{Name: "first", Command: []string{"/bin/sh", "-c", "echo before >>" + h.dir + "/ran"}}}
	jobs = []process.Job{
		{Name: "shows", HTTP: &process.HTTPCheck{Path: "/", Contains: two}},
		{Name: "where", Command: []string{"/bin/sh", "-c", "echo $TOWPATH_ADDRESS >>" + h.dir + "/ran"}},
	}
	t.Run("asks at its address after the jobs before", func(t *testing.T) {
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		h.must(h.r.Verify(t.Context(), h.work(towpath.VerbVerifyBefore, two), kind.BeforeSwitch))
		ran, err := os.ReadFile(filepath.Join(h.dir, "ran"))
		h.must(err)
		if want := "before\n" + h.observed().Preview + "\n"; string(ran) != want {
			t.Errorf("ran %q, want %q", ran, want)
		}
	})
	t.Run("calls what is wrong there the release's failure", func(t *testing.T) {
		jobs = []process.Job{{Name: "shows", HTTP: &process.HTTPCheck{Path: "/", Contains: "somebody else"}}}
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		err := h.r.Verify(t.Context(), h.work(towpath.VerbVerifyBefore, two), kind.BeforeSwitch)
		if failure := new(kind.Failure); !errors.As(err, &failure) || !strings.Contains(failure.Message, "the verification job shows") {
			t.Errorf("got %v, want that the job failed", err)
		}
		if got := kindtest.Get(h.url()); got != one {
			t.Errorf("%q has the traffic", got)
		}
	})
	t.Run("asks nobody else in its place", func(t *testing.T) {
		before, jobs = nil, []process.Job{{Name: "shows", HTTP: &process.HTTPCheck{Path: "/"}}}
		err := h.r.Verify(t.Context(), h.work(towpath.VerbVerifyBefore, two), kind.BeforeSwitch) // a revision that was not prepared
		failure := new(kind.Failure)
		if err == nil || errors.As(err, &failure) {
			t.Errorf("got %v, want an error that is no failure", err)
		}
	})
	t.Run("leaves them out of a repair, which shows nothing", func(t *testing.T) {
		jobs = []process.Job{{Name: "never", Command: []string{"/bin/false"}}}
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		h.must(h.r.Repair(t.Context(), h.work(towpath.VerbRepair, two)))
	})
}

func TestRunner_Memory(t *testing.T) {
	free := int64(100 << 20)
	h := newHand(t)
	h.free = func() (int64, error) { return free, nil }
	h.change = func(s *process.Spec) { s.Instances, s.Memory = 3, 50<<20 }
	err := h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one))
	if m, hint := towpath.PublicMessage(err); towpath.KindOf(err) != towpath.KindUnavailable || !strings.Contains(m, "3 more instances of api need 150 MiB of memory, and 100 MiB are free") || hint == "" {
		t.Fatalf("got %v", err)
	}
	if n := h.Starts(t, one); n != 0 {
		t.Errorf("%d were started all the same", n)
	}
	free = 150 << 20
	h.up(one)
	free = 0
	h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one))) // what runs needs no more

	// Without a word about memory it is what those that run take.
	h.change = func(s *process.Spec) { s.Instances = 1 }
	err = h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two))
	if m, _ := towpath.PublicMessage(err); !strings.Contains(m, "1 more instances of api need") || strings.Contains(m, "need 0 MiB") {
		t.Fatalf("got %v", err)
	}
	free = 1 << 40
	h.up(two)
}

// TestRunner_MemoryThatNobodyKnows: what was not checked is not said to be fine.
func TestRunner_MemoryThatNobodyKnows(t *testing.T) {
	for declared, want := range map[int64]int{0: 1, 1 << 20: 0} {
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Memory = declared }
		h.up(one)
		r := h.records()[0]
		_ = syscall.Kill(r.Shim, syscall.SIGKILL)
		h.eventually("the process has died with its shim", func() bool { return gone(r.PID) })
		said, w := "", h.work(towpath.VerbPrepare, two)
		w.Say = func(m string) { said += m + "\n" }
		h.must(h.r.Prepare(t.Context(), w))
		if n := strings.Count(said, "was not checked"); n != want {
			t.Errorf("with %d declared it says %q", declared, said)
		}
	}
}

// What was stopped for a revision that there is no memory for must come back: the
// operation ends with its time.
func TestRunner_MemoryThatDoesNotCome(t *testing.T) {
	h := newHand(t)
	free := int64(1 << 40)
	var over func() // the time of the operation, once it was asked for memory
	h.free = func() (int64, error) {
		if over != nil {
			over()
		}
		return free, nil
	}
	h.change = func(s *process.Spec) { s.Memory = 50 << 20 }
	h.up(one)
	free = 0
	ctx := newTimed(t)
	over = ctx.end
	said := ""
	w := h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{})
	w.Say = func(m string) { said += m }
	err := h.r.Prepare(ctx, w)
	if f, failed := err.(*kind.Failure); !failed || !strings.Contains(f.Message, "1 more instances of api need 50 MiB of memory, and 0 MiB are free") { //nolint:errorlint // that is what it returns
		t.Errorf("got %v", err)
	}
	if strings.Count(said, "waiting for memory") != 1 {
		t.Errorf("said %q", said)
	}
	h.wantRuns(0, 0)

	repair := h.work(towpath.VerbRepair, one)
	ctx = newTimed(t)
	over = ctx.end
	if _, failed := h.r.Repair(ctx, repair).(*kind.Failure); !failed { //nolint:errorlint // that is what it returns
		t.Error("a repair for which there is no memory goes on for ever")
	}
	if held, err := h.r.Folders(); err != nil || len(held) != 2 {
		t.Errorf("%v, and the files of %d are held, want one and two only", err, len(held))
	}
	over = nil
	if err := h.r.Prepare(newTimed(t), h.work(towpath.VerbRestore, one)); towpath.KindOf(err) != towpath.KindUnavailable {
		t.Errorf("what goes back is given up: %v", err)
	}

	w = h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{})
	w.Say = func(string) { free = 1 << 40 } // it waits, and somebody frees some
	h.must(h.r.Prepare(newTimed(t), w))
}

// timed is the context of an operation whose time is over when a test says so.
type timed struct {
	context.Context
	over chan struct{}
	once sync.Once
}

func newTimed(t *testing.T) *timed { return &timed{Context: t.Context(), over: make(chan struct{})} }

func (c *timed) end()                        { c.once.Do(func() { close(c.over) }) }
func (c *timed) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (c *timed) Done() <-chan struct{}       { return c.over }
func (c *timed) Err() error {
	select {
	case <-c.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestRunner_VerifiesAtSteps(t *testing.T) {
	h := newHand(t)
	h.up(one)
	job := func(want string) func(*process.Spec) {
		return func(s *process.Spec) {
			s.Verify.Step = []process.Job{{Name: "says who it is", HTTP: &process.HTTPCheck{Path: "/", Contains: want}}}
		}
	}
	for _, want := range []string{two, "somebody else"} {
		h.change = job(want)
		w := h.work(towpath.VerbVerifyBefore, two)
		h.must(h.r.Prepare(t.Context(), w))
		h.must(h.r.Verify(t.Context(), w, kind.BeforeSwitch)) // it has none of that stage
		err := h.r.Verify(t.Context(), w, kind.AtStep)
		if _, failed := err.(*kind.Failure); failed != (want != two) { //nolint:errorlint // that is what it returns
			t.Errorf("looking for %s gave %v", want, err)
		}
	}
}
