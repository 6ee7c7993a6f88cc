package run_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// repairing is a hand whose revision has a job of each stage, which fail while a
// file of their name is there.
func repairing(t *testing.T) *hand {
	t.Helper()
	h := newHand(t)
	bad := filepath.Join(h.dir, "bad-")
	h.change = func(s *process.Spec) {
		job := func(name string) []process.Job {
			return []process.Job{{Name: name, Command: []string{"/bin/sh", "-c", "test ! -e " + bad + name + " || { echo no table orders; exit 7; }"}, Timeout: 10 * time.Second}}
		}
		s.Verify = process.Verify{Before: job("before"), After: job("after")}
	}
	h.up(one)
	return h
}

func (h *hand) breaks(stage string) {
	h.must(os.WriteFile(filepath.Join(h.dir, "bad-"+stage), nil, 0o644))
}

func (h *hand) fails(err error, says string) {
	h.t.Helper()
	failure := new(kind.Failure)
	if !errors.As(err, &failure) || !strings.Contains(failure.Message, says) {
		h.t.Fatalf("%v, want a failure that says %q", err, says)
	}
}

// asks counts requests that are not answered, until the test has ended them.
func (h *hand) asks() (lost func() int) {
	url, ctx := h.url(), make(chan struct{})
	n := make(chan int)
	go func() {
		bad := 0
		for {
			select {
			case <-ctx:
				n <- bad
				return
			default:
			}
			resp, err := http.Get(url + "/")
			if err != nil || resp.StatusCode != http.StatusOK {
				bad++
			}
			if err == nil {
				resp.Body.Close()
			}
		}
	}()
	return func() int { close(ctx); return <-n }
}

// TestRunner_RepairVerifies: a repair runs the jobs that a deployment runs, and
// one that fails leaves what runs running.
func TestRunner_RepairVerifies(t *testing.T) {
	for _, stage := range []string{"before", "after"} {
		t.Run("goes back when a job fails "+stage+" the switch", func(t *testing.T) {
			t.Parallel()
			h := repairing(t)
			pid := h.records()[0].PID
			lost := h.asks()
			h.breaks(stage)
			h.fails(h.r.Repair(t.Context(), h.work(towpath.VerbRepair, one)), "the verification job "+stage+" failed")
			if all := h.records(); len(all) != 1 || all[0].PID != pid {
				t.Errorf("%+v run, want the one that ran before", all)
			}
			if got := kindtest.Get(h.url()); got != one || h.observed().Health != towpath.HealthHealthy {
				t.Errorf("%q, %+v", got, h.observed())
			}
			h.must(os.Remove(filepath.Join(h.dir, "bad-"+stage)))
			h.must(h.r.Repair(t.Context(), h.work(towpath.VerbRepair, one)))
			if all := h.records(); len(all) != 1 || all[0].PID == pid || kindtest.Get(h.url()) != one {
				t.Errorf("%+v run after the repair", all)
			}
			if n := lost(); n > 0 {
				t.Errorf("%d requests were lost", n)
			}
		})
	}
	t.Run("keeps the fresh instances when nothing runs that it could go back to, and says so", func(t *testing.T) {
		h := repairing(t)
		r := h.records()[0]
		h.breaks("after")
		_ = syscall.Kill(r.Shim, syscall.SIGKILL)
		h.eventually("the process has died with its shim", func() bool { return gone(r.PID) })
		w := h.work(towpath.VerbRepair, one)
		for range 2 { // a crash before it was told changes nothing of it
			h.fails(h.r.Repair(t.Context(), w), "failed: exit status 7; it keeps the traffic, because nothing else runs")
			if what, err := h.r.Recover(t.Context(), w); err != nil || what != kind.RecoveredNotStarted {
				t.Fatalf("recover: %q, %v", what, err)
			}
		}
		if got := kindtest.Get(h.url()); got != one || h.observed().Health != towpath.HealthHealthy {
			t.Errorf("%q, %+v", got, h.observed())
		}
	})
}

// TestRunner_RepairOfWhatCantRunTwice: where the operation leaves no room for two, what
// runs stops first, and is started again when the repair fails or is cut off.
func TestRunner_RepairOfWhatCantRunTwice(t *testing.T) {
	once := func(h *hand) (w kind.Work, waited func() bool) {
		w = h.work(towpath.VerbRepair, one)
		w.Operation.Spec.Scale = &towpath.Scale{}
		before, said := h.records()[0].PID, false
		w.Say = func(m string) {
			if strings.HasPrefix(m, "waiting for") {
				if said = true; !gone(before) {
					h.t.Errorf("it runs twice: %s", m)
				}
			}
		}
		return w, func() bool { return said }
	}
	t.Run("is replaced", func(t *testing.T) {
		t.Parallel()
		h := repairing(t)
		before := h.records()[0].PID
		w, waited := once(h)
		for range 2 { // a crash before it was told changes nothing of it
			h.must(h.r.Repair(t.Context(), w))
		}
		if all := h.records(); !waited() || len(all) != 1 || all[0].PID == before || kindtest.Get(h.url()) != one {
			t.Errorf("%+v run after the repair", all)
		}
	})
	t.Run("comes back when a job fails", func(t *testing.T) {
		t.Parallel()
		h := repairing(t)
		h.breaks("before")
		w, waited := once(h)
		h.fails(h.r.Repair(t.Context(), w), "the verification job before failed")
		h.eventually("what ran before runs again", func() bool { return h.r.Keep(t.Context()) == nil && kindtest.Get(h.url()) == one })
		if all := h.records(); !waited() || len(all) != 1 || h.observed().Health != towpath.HealthHealthy {
			t.Errorf("%+v run", all)
		}
	})
	t.Run("has not failed while what it started can't be ended", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		spoils := filepath.Join(h.dir, "spoils")
		h.change = func(s *process.Spec) {
			s.Verify.Before = []process.Job{{Name: "before", Command: []string{"/bin/sh", "-c", "test ! -e " + spoils + " || /bin/sh " + spoils}, Timeout: 10 * time.Second}}
		}
		h.up(one)
		h.must(os.WriteFile(spoils, []byte("for f in "+filepath.Join(h.dir, "run", "instances")+"/*/spec.json; do cp $f $f.good; echo none > $f; done; exit 7\n"), 0o644))
		w, _ := once(h)
		failure := new(kind.Failure)
		if err := h.r.Repair(t.Context(), w); err == nil || errors.As(err, &failure) {
			t.Fatalf("repair: %v", err)
		}
		good, err := filepath.Glob(filepath.Join(h.dir, "run", "instances", "*", "spec.json.good"))
		if err != nil || len(good) != 1 {
			t.Fatalf("%v, %v", good, err)
		}
		h.must(os.Rename(good[0], strings.TrimSuffix(good[0], ".good")))
		h.must(os.WriteFile(spoils, []byte("echo no table orders; exit 7\n"), 0o644))
		h.fails(h.r.Repair(t.Context(), w), "the verification job before failed")
		h.eventually("what ran before runs again", func() bool { return h.r.Keep(t.Context()) == nil && kindtest.Get(h.url()) == one })
	})
	t.Run("stays with the traffic when a job after it fails", func(t *testing.T) {
		t.Parallel()
		h := repairing(t)
		h.breaks("after")
		w, _ := once(h)
		h.fails(h.r.Repair(t.Context(), w), "failed: exit status 7; it keeps the traffic, because nothing else runs")
		if all := h.records(); len(all) != 1 || kindtest.Get(h.url()) != one {
			t.Errorf("%+v run", all)
		}
	})
	t.Run("comes back when it is cut off", func(t *testing.T) {
		t.Parallel()
		h := repairing(t)
		w, _ := once(h)
		ctx, cancel := context.WithCancel(t.Context())
		checks := w.Say
		w.Say = func(m string) {
			checks(m)
			if strings.HasPrefix(m, "waiting for") {
				cancel()
			}
		}
		if err := h.r.Repair(ctx, w); !errors.Is(err, context.Canceled) {
			t.Fatalf("repair: %v", err)
		}
		h.must(h.r.Undo(t.Context(), w))
		h.eventually("what ran before runs again", func() bool { return h.r.Keep(t.Context()) == nil && kindtest.Get(h.url()) == one })
		if all := h.records(); len(all) != 1 {
			t.Errorf("%+v run", all)
		}
	})
}

// TestRunner_RepairCrashesAtItsEnd: fresh instances that crash once they have the
// traffic are the revision's all the same, and are started again like any.
func TestRunner_RepairCrashesAtItsEnd(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Verify.After = []process.Job{{Name: "last", Command: []string{"/bin/true"}, Timeout: 10 * time.Second}}
	}
	h.up(one)
	old := h.records()[0].PID
	w := h.work(towpath.VerbRepair, one)
	killed := 0
	w.Say = func(m string) {
		for _, x := range h.records() {
			if m == "verifying: last" && x.PID != old {
				killed++
				_ = syscall.Kill(x.PID, syscall.SIGKILL)
				h.eventually("the fresh instance has crashed", func() bool { return gone(x.PID) })
			}
		}
	}
	h.must(h.r.Repair(t.Context(), w))
	if killed != 1 {
		t.Fatalf("%d instances were killed", killed)
	}
	h.eventually("it is started again and answers", func() bool {
		h.must(h.r.Keep(t.Context()))
		return h.observed().Health == towpath.HealthHealthy && kindtest.Get(h.url()) == one
	})
}

// TestRunner_RepairIsCutOff: what comes after a repair that was cut off with the
// traffic on the fresh instances finds the revision under its name.
func TestRunner_RepairIsCutOff(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Verify.After = []process.Job{{Name: "long", Command: []string{"/bin/sleep", "60"}, Timeout: time.Minute}}
	}
	h.up(one)
	before := h.observed()
	ctx, cancel := context.WithCancel(t.Context())
	w := h.work(towpath.VerbRepair, one)
	w.Say = func(m string) {
		if m == "verifying: long" {
			cancel()
		}
	}
	if err := h.r.Repair(ctx, w); !errors.Is(err, context.Canceled) {
		t.Fatalf("repair: %v", err)
	}
	h.must(h.r.Undo(t.Context(), w)) // what has the traffic stays
	if o := h.observed(); o.Revision != before.Revision || o.Health != towpath.HealthHealthy {
		t.Errorf("observed %+v", o)
	}
	again, stop := context.WithCancel(t.Context())
	v := h.work(towpath.VerbVerifyAfter, one)
	v.Say = func(string) { stop() }
	if err := h.r.Verify(again, v, kind.AfterSwitch); !errors.Is(err, context.Canceled) {
		t.Errorf("what runs is not verified: %v", err)
	}
	next := h.work(towpath.VerbPrepare, two)
	next.Planned, next.Operation.Spec.Previous = true, before.Revision
	h.must(h.r.Prepare(t.Context(), next))
	shift := h.work(towpath.VerbShift, two)
	shift.Planned, shift.Operation.Spec.Previous, shift.Operation.Spec.Weight = true, before.Revision, 10
	h.must(h.r.Shift(t.Context(), shift))
	if all := h.records(); len(all) != 2 {
		t.Errorf("%+v run, want one instance of each revision", all)
	}
}

// TestRunner_RepairLeavesNothing: what a repair has started that gets no traffic ends when
// its time is over or it is withdrawn, and what one that was cut off has left ends with the
// next one, also when that fails.
func TestRunner_RepairLeavesNothing(t *testing.T) {
	h := repairing(t)
	late := newTimed(t)
	over := h.work(towpath.VerbRepair, one)
	over.Say = func(m string) {
		if m == "verifying: before" {
			late.end()
		}
	}
	if err := h.r.Repair(late, over); !errors.Is(err, context.DeadlineExceeded) || len(h.records()) != 1 {
		t.Fatalf("repair whose time is over: %v, and %+v run", err, h.records())
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := h.work(towpath.VerbRepair, one)
	w.Say = func(m string) {
		if m == "verifying: before" {
			cancel()
		}
	}
	if err := h.r.Repair(ctx, w); !errors.Is(err, context.Canceled) || len(h.records()) != 2 {
		t.Fatalf("repair: %v, and %+v run", err, h.records())
	}
	h.must(h.r.Undo(t.Context(), h.work(towpath.VerbRepair, two))) // of another one
	if all := h.records(); len(all) != 2 {
		t.Fatalf("%+v run", all)
	}
	h.must(h.r.Undo(t.Context(), w))
	if held, err := h.r.Folders(); err != nil || len(held) != 1 || len(h.records()) != 1 {
		t.Fatalf("withdrawn: %+v run, and the files of %d revisions are held: %v", h.records(), len(held), err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	w = h.work(towpath.VerbRepair, one)
	w.Say = func(m string) {
		if m == "verifying: before" {
			cancel()
		}
	}
	if err := h.r.Repair(ctx, w); !errors.Is(err, context.Canceled) || len(h.records()) != 2 {
		t.Fatalf("repair: %v, and %+v run", err, h.records())
	}
	h.breaks("before")
	h.fails(h.r.Repair(t.Context(), h.work(towpath.VerbRepair, one)), "the verification job before failed")
	if all := h.records(); len(all) != 1 {
		t.Errorf("%+v run, want the one that ran before", all)
	}
	if held, err := h.r.Folders(); err != nil || len(held) != 1 {
		t.Errorf("%v, and the files of %d revisions are held", err, len(held))
	}
}

// TestRunner_Strays: an instance that nobody asked for is seen, and ended by a
// repair.
func TestRunner_Strays(t *testing.T) {
	h := newHand(t)
	h.up(one)
	if o := h.observed(); o.Strays != 0 || o.Instances != 1 {
		t.Fatalf("observed %+v", o)
	}
	dir := filepath.Join(h.dir, "run", "instances", "ins_by-hand")
	h.must(os.MkdirAll(dir, 0o700))
	b, err := os.ReadFile(h.glob("instances/*/spec.json")[0])
	h.must(err)
	h.must(os.WriteFile(filepath.Join(dir, "spec.json"), b, 0o600))
	shim := exec.Command(self(t), "towpath-shim", dir)
	h.must(shim.Start())
	ended := make(chan error, 1)
	go func() { ended <- shim.Wait() }()
	h.eventually("it is seen", func() bool { return h.observed().Strays == 1 })
	if o := h.observed(); o.Instances != 1 || o.Health != towpath.HealthHealthy {
		t.Errorf("observed %+v", o)
	}
	h.must(os.MkdirAll(filepath.Join(h.dir, "run", "instances", "junk"), 0o700))
	h.must(os.WriteFile(filepath.Join(h.dir, "run", "instances", "junk", "spec.json"), []byte("no JSON"), 0o600))
	h.must(h.r.Repair(t.Context(), h.work(towpath.VerbRepair, one)))
	<-ended
	if o := h.observed(); o.Strays != 0 || kindtest.Get(h.url()) != one {
		t.Errorf("after the repair: %+v", o)
	}
}

// TestRunner_AfterARemovalThatWasCutOff: what is left of an instance's folder is
// no start of the next one in it.
func TestRunner_AfterARemovalThatWasCutOff(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Health.Deadline = 5 * time.Second }
	h.up(one)
	h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
	spec, _ := h.Spec(t, two)
	var left, content string
	for _, path := range h.glob("instances/*/record.json") {
		b, err := os.ReadFile(path)
		h.must(err)
		if strings.Contains(string(b), string(spec.Revision)) {
			left, content = path, string(b)
		}
	}
	h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Fatalf("two was not retired: %v", err)
	}
	h.must(os.MkdirAll(filepath.Dir(left), 0o700))
	h.must(os.WriteFile(left, []byte(content), 0o600))
	h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
}
