package run_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// loseOne kills the shim of an instance of a revision, and the process with it.
func (h *hand) loseOne(revision string) {
	h.t.Helper()
	spec, _ := h.Spec(h.t, revision)
	for _, r := range h.records() {
		if r.Revision == spec.Revision {
			h.must(syscall.Kill(r.Shim, syscall.SIGKILL))
			h.eventually("the instance is gone", func() bool { return gone(r.PID) && gone(r.Shim) })
			return
		}
	}
	h.t.Fatalf("nothing runs of %s", revision)
}

func TestRunner_LostInstances(t *testing.T) {
	const lost = "is gone: its shim was killed, and it with it"
	isLost := func(t *testing.T, err error) {
		t.Helper()
		failure := new(kind.Failure)
		if !errors.As(err, &failure) || !strings.Contains(failure.Message, lost) {
			t.Errorf("%v, want the failure of a revision that lost an instance", err)
		}
	}
	t.Run("are as bad as crashed ones while the traffic is shared", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Instances = 2 }
		h.beside(two)
		if c := h.counted(two); c.Broken != "" {
			t.Fatalf("before it was lost: %s", c.Broken)
		}
		h.loseOne(two)
		if c := h.counted(two); !strings.HasSuffix(c.Broken, lost) {
			t.Errorf("counted as broken because %q", c.Broken)
		}
		isLost(t, h.r.Shift(t.Context(), h.shift(two, 75)))
		isLost(t, h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbRestore, one)))
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
	})
	t.Run("of what is prepared fail whatever would give it traffic", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		h.loseOne(two)
		isLost(t, h.r.Shift(t.Context(), h.shift(two, 10)))
		isLost(t, h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
		if got := kindtest.Get(h.url()); got != one {
			t.Errorf("%q has the traffic", got)
		}
	})
	t.Run("of what has the traffic are started again, and are no reason to go back", func(t *testing.T) {
		t.Parallel()
		h := newHand(t)
		h.switched(two)
		h.loseOne(two)
		if c := h.counted(two); c.Broken != "" {
			t.Errorf("counted as broken because %q", c.Broken)
		}
		if err := h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("%v, want an error that is tried again", err)
		}
		h.eventually("it serves again", func() bool { return h.r.Keep(t.Context()) == nil && kindtest.Get(h.url()) == two })
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
	})
}

// TestRunner_LostChildren: what an instance started is no instance of its own. It ends
// with it, or else before the next one starts, and with its folder at the latest.
func TestRunner_LostChildren(t *testing.T) {
	for name, end := range map[string]func(h *hand){
		"the next start": func(h *hand) {
			h.eventually("it serves again", func() bool { return h.r.Keep(h.t.Context()) == nil && kindtest.Get(h.url()) == one })
		},
		"its removal": func(h *hand) { h.must(h.r.Remove(h.t.Context(), h.work(towpath.VerbRemove, one))) },
	} {
		t.Run("end with "+name, func(t *testing.T) {
			t.Parallel()
			h := newHand(t)
			h.change = func(s *process.Spec) {
				s.Command = []string{"/bin/sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $! >>" + h.dir + "/children; exec " + self(t) + " towpath-app"}
			}
			h.up(one)
			b, err := os.ReadFile(h.dir + "/children")
			h.must(err)
			child, err := strconv.Atoi(strings.TrimSpace(string(b)))
			h.must(err)
			h.loseOne(one)
			if ended(child) {
				t.Fatal("the child ended with the shim by itself")
			}
			end(h)
			h.eventually("the child has ended", func() bool { return ended(child) })
		})
	}
}

// ended reports whether a process is gone, or waits for nothing but its parent.
func ended(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(b), ") Z ")
}

// TestRunner_UnreadableRecord: one record that can't be read keeps nobody from the
// components whose can.
func TestRunner_UnreadableRecord(t *testing.T) {
	h := newHand(t)
	h.up(one)
	url := h.url()
	h.must(os.WriteFile(filepath.Join(h.dir, "run", "targets", "tgt_bad.json"), []byte("no JSON"), 0o600))
	says := func(err error) {
		t.Helper()
		if m, _ := towpath.PublicMessage(err); !strings.Contains(m, "can't be read") {
			t.Errorf("got %v", err)
		}
	}
	h.Kill(t, one)
	h.eventually("it serves again", func() bool {
		says(h.r.Keep(t.Context()))
		return kindtest.Get(url) == one
	})
	counts, err := h.r.Counts(t.Context())
	if says(err); len(counts) != 1 {
		t.Errorf("counted %+v", counts)
	}
	samples, err := h.r.Samples(t.Context())
	if says(err); len(samples) != 1 {
		t.Errorf("sampled %+v", samples)
	}
	if _, err := h.r.Observe(t.Context()); err == nil {
		t.Error("what nobody could look at reads as gone")
	}
	says(h.r.Halt(t.Context()))
	if got := kindtest.Get(url); got != "" {
		t.Errorf("%q still runs", got)
	}
}
