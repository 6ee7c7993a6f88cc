package run_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// scaled is work that brings instances to numbers.
func (h *hand) scaled(verb towpath.Verb, revision, previous string, weight int, s towpath.Scale) kind.Work {
	h.t.Helper()
	w := h.work(verb, revision)
	spec, _ := h.Spec(h.t, previous)
	w.Operation.Spec.Previous, w.Operation.Spec.Weight, w.Operation.Spec.Scale = spec.Revision, weight, &s
	return w
}

// runs counts the instances that run, by the revision's name.
func (h *hand) runs() map[string]int {
	h.t.Helper()
	out := map[string]int{}
	for _, r := range h.records() {
		if syscall.Kill(r.PID, 0) != nil {
			continue
		}
		for _, name := range []string{one, two} {
			if spec, _ := h.Spec(h.t, name); spec.Revision == r.Revision {
				out[name]++
			}
		}
	}
	return out
}

func (h *hand) wantRuns(ones, twos int) {
	h.t.Helper()
	if got := h.runs(); got[one] != ones || got[two] != twos {
		h.t.Fatalf("%v run, want %d and %d", got, ones, twos)
	}
}

// serving counts the instances that get requests.
func (h *hand) serving() int {
	h.t.Helper()
	st, err := h.router(h.t).Status(h.t.Context())
	h.must(err)
	rt, _ := st.Find(h.Target().Key())
	n := len(rt.Traffic.Instances)
	for _, b := range rt.Traffic.Others {
		n += len(b.Instances)
	}
	return n
}

// load sends requests until it is stopped, and gives those that failed.
func (h *hand) load(clients int) (stop func() (sent int, failed []string)) {
	ctx, cancel := context.WithCancel(h.t.Context())
	url := h.url()
	var mu sync.Mutex
	var wg sync.WaitGroup
	sent, failed := 0, []string(nil)
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				got := kindtest.Get(url)
				mu.Lock()
				if sent++; got != one && got != two {
					failed = append(failed, got)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []string) {
		cancel()
		wg.Wait()
		return sent, failed
	}
}

func four(s *process.Spec) { s.Instances = 4 }

func TestRunner_Scale(t *testing.T) {
	t.Run("replaces instances by and by under load, and loses no request", func(t *testing.T) {
		h := newHand(t)
		h.change = four
		h.up(one)
		stop := h.load(4)
		h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 4})))
		h.wantRuns(4, 1)
		for n := 1; n < 4; n++ {
			h.must(h.r.Shift(t.Context(), h.scaled(towpath.VerbShift, two, one, n*25, towpath.Scale{Instances: n, Room: 5 - n, Rest: 4 - n})))
			h.wantRuns(4-n, n)
			if got := h.serving(); got != 4 {
				t.Errorf("%d instances get requests, want 4", got)
			}
			if o := h.observed(); o.Instances != 4-n || len(o.Beside) != 1 || o.Beside[0].Instances != n || o.Beside[0].Wanted != 4 {
				t.Errorf("observed %d of the old one, and %+v", o.Instances, o.Beside)
			}
		}
		h.must(h.r.Switch(t.Context(), h.scaled(towpath.VerbSwitch, two, one, 0, towpath.Scale{Instances: 4, Room: 1})))
		h.wantRuns(1, 4)
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		h.wantRuns(0, 4)
		if o := h.observed(); o.Instances != 4 || o.Beside != nil {
			t.Errorf("observed %+v in the end", o)
		}
		if sent, failed := stop(); len(failed) > 0 || sent < 20 {
			t.Errorf("%d of %d requests failed: %q", len(failed), sent, failed)
		}
		if ones, twos := h.Starts(t, one), h.Starts(t, two); ones != 4 || twos != 4 {
			t.Errorf("started %d and %d, want 4 and 4", ones, twos)
		}
	})
	t.Run("shrinks without a moment of fewer than there were, until all of the traffic moves", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) {
			if s.Instances = 2; s.Env[kindtest.AppVersion].Literal == one {
				s.Instances = 5
			}
		}
		h.up(one)
		stop := h.load(4)
		h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 5})))
		h.wantRuns(5, 1)
		h.must(h.r.Shift(t.Context(), h.scaled(towpath.VerbShift, two, one, 50, towpath.Scale{Instances: 1, Room: 5, Rest: 5})))
		h.wantRuns(5, 1)
		if got := h.serving(); got != 6 {
			t.Errorf("%d instances get requests, want 6", got)
		}
		h.must(h.r.Switch(t.Context(), h.scaled(towpath.VerbSwitch, two, one, 0, towpath.Scale{Instances: 2, Room: 4})))
		h.wantRuns(4, 2)
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		h.wantRuns(0, 2)
		if sent, failed := stop(); len(failed) > 0 || sent < 20 {
			t.Errorf("%d of %d requests failed: %q", len(failed), sent, failed)
		}
	})
	t.Run("grows beside all that there were", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) {
			if s.Instances = 4; s.Env[kindtest.AppVersion].Literal == one {
				s.Instances = 1
			}
		}
		h.up(one)
		stop := h.load(2)
		h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 2, Room: 4})))
		h.wantRuns(1, 2)
		h.must(h.r.Shift(t.Context(), h.scaled(towpath.VerbShift, two, one, 50, towpath.Scale{Instances: 2, Room: 4, Rest: 2})))
		h.wantRuns(1, 2)
		h.must(h.r.Switch(t.Context(), h.scaled(towpath.VerbSwitch, two, one, 0, towpath.Scale{Instances: 4, Room: 2})))
		h.wantRuns(1, 4)
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		h.wantRuns(0, 4)
		if _, failed := stop(); len(failed) > 0 {
			t.Errorf("requests failed: %q", failed)
		}
	})
	t.Run("goes back in the middle with all that there was", func(t *testing.T) {
		h := newHand(t)
		h.change = four
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 2, Room: 3})))
		h.wantRuns(3, 2)
		h.must(h.r.Shift(t.Context(), h.scaled(towpath.VerbShift, two, one, 50, towpath.Scale{Instances: 2, Room: 3, Rest: 2})))
		h.r = h.processes(t) // the agent was restarted meanwhile
		stop := h.load(2)
		back := h.work(towpath.VerbPrepare, one)
		if got, err := h.r.Recover(t.Context(), back); err != nil || got != kind.RecoveredNotStarted {
			t.Errorf("recovered as %s, %v while half of it runs", got, err)
		}
		h.must(h.r.Prepare(t.Context(), back))
		h.wantRuns(4, 2)
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, one)))
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, one)))
		h.wantRuns(4, 0)
		if _, failed := stop(); len(failed) > 0 {
			t.Errorf("requests failed: %q", failed)
		}
		if o := h.observed(); o.Health != towpath.HealthHealthy || o.Instances != 4 {
			t.Errorf("observed %+v", o)
		}
	})
	t.Run("stops all of the old one before the new one starts, where there is no room", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{})))
		h.wantRuns(0, 1)
		if o := h.observed(); o.Health != towpath.HealthUnhealthy || !strings.Contains(o.Detail, "make room") {
			t.Errorf("observed %+v", o)
		}
		if err := h.r.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.wantRuns(0, 1) // what was stopped on purpose is not started again
		h.must(h.r.Switch(t.Context(), h.scaled(towpath.VerbSwitch, two, one, 0, towpath.Scale{})))
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		if got := kindtest.Get(h.url()); got != two {
			t.Errorf("%q answers", got)
		}
	})
	t.Run("takes what ended by itself between two steps for a failure", func(t *testing.T) {
		h := newHand(t)
		h.change = four
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 4})))
		h.Kill(t, two)
		err := h.r.Shift(t.Context(), h.scaled(towpath.VerbShift, two, one, 25, towpath.Scale{Instances: 1, Room: 4, Rest: 3}))
		if f, ok := err.(*kind.Failure); !ok || !strings.Contains(f.Message, "was ended by the signal killed") { //nolint:errorlint // that is what it returns
			t.Errorf("got %v", err)
		}
		h.wantRuns(4, 0)
	})
	t.Run("takes what ended by itself while room was made for a failure", func(t *testing.T) {
		h := newHand(t)
		h.change = four
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 4})))
		pr, pw := io.Pipe()
		for range 4 { // one of them is at the instance that is to go
			go func() {
				if resp, err := http.Post(h.url()+"/hold", "text/plain", pr); err == nil {
					_ = resp.Body.Close()
				}
			}()
		}
		h.eventually("every instance has one", func() bool {
			st, err := h.router(t).Status(t.Context())
			rt, _ := st.Find(h.Target().Key())
			return err == nil && len(rt.Busy) == 4
		})
		w := h.scaled(towpath.VerbShift, two, one, 25, towpath.Scale{Instances: 1, Room: 3})
		w.Say = func(m string) {
			if strings.HasPrefix(m, "waiting up to 5s for 1 requests") {
				h.Kill(t, two)
				pw.Close()
			}
		}
		err := h.r.Shift(t.Context(), w)
		if f, ok := err.(*kind.Failure); !ok || !strings.Contains(f.Message, "after it had been healthy") { //nolint:errorlint // that is what it returns
			t.Errorf("got %v", err)
		}
		h.wantRuns(3, 0)
	})
	t.Run("lets an instance finish what it has before it goes", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Instances = 2 }
		h.up(one)
		var finish []func()
		answers := make(chan string, 2)
		for range 2 { // round robin: one each
			pr, pw := io.Pipe()
			go func() {
				resp, err := http.Post(h.url()+"/hold", "text/plain", pr)
				if err != nil {
					answers <- err.Error()
					return
				}
				defer resp.Body.Close()
				b, _ := io.ReadAll(resp.Body)
				answers <- string(b)
			}()
			_, err := pw.Write([]byte("begin"))
			h.must(err)
			finish = append(finish, func() { pw.Close() })
		}
		h.eventually("each instance has one", func() bool {
			st, err := h.router(t).Status(t.Context())
			rt, _ := st.Find(h.Target().Key())
			return err == nil && len(rt.Busy) == 2
		})
		w := h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 1})
		w.Say = func(m string) {
			if strings.HasPrefix(m, "waiting up to 5s for 1 requests") {
				for _, f := range finish {
					f()
				}
			}
		}
		began := time.Now()
		h.must(h.r.Prepare(t.Context(), w))
		if a, b := <-answers, <-answers; a != one || b != one {
			t.Errorf("the requests were answered %q and %q after %s", a, b, time.Since(began))
		}
		h.wantRuns(1, 1)
	})
}

// What is only kept gives way to what has the traffic, whichever of them comes
// first by its ID.
func TestRunner_ScaleBesideWhatIsKept(t *testing.T) {
	for i := range 4 {
		h := newHand(t)
		grace := func(d time.Duration) { h.change = func(s *process.Spec) { s.Instances, s.StopGrace = 2, d } }
		grace(time.Duration(2+i) * time.Second)
		h.up(one)
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.keep(two)))
		h.wantRuns(2, 2)
		if o := h.observed(); o.Beside != nil {
			t.Errorf("what is kept is said to replace something: %+v", o.Beside)
		}
		next := h.scaled(towpath.VerbPrepare, one, two, 0, towpath.Scale{Instances: 1, Room: 2})
		grace(20 * time.Second) // another revision of one
		spec, _ := h.Spec(t, one)
		next.Operation.Spec.Revision, next.Operation.Spec.Rendered = spec.Revision, spec.Rendered
		stop := h.load(2)
		h.must(h.r.Prepare(t.Context(), next))
		if _, failed := stop(); len(failed) > 0 {
			t.Errorf("requests failed: %q", failed)
		}
		if o := h.observed(); h.serving() != 2 || o.Kept != "" || len(o.Beside) != 1 {
			t.Errorf("%d instances get requests, want 2; observed %+v", h.serving(), o)
		}
		if n := len(h.glob("instances/*")); n != 3 {
			t.Errorf("%d instances are there, want 2 and the first of the next", n)
		}
	}
}

func TestRunner_ScaleToAllIsNoBound(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Instances = 2 }
	h.up(one)
	h.must(h.r.Prepare(t.Context(), h.scaled(towpath.VerbPrepare, two, one, 0, towpath.Scale{Instances: 1, Room: 2})))
	h.must(h.r.Switch(t.Context(), h.scaled(towpath.VerbSwitch, two, one, 0, towpath.Scale{Instances: 2, Room: 1})))
	h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
	h.up(one)
	h.must(h.r.Retire(t.Context(), h.keep(one))) // by another strategy
	h.wantRuns(2, 2)
	if o := h.observed(); o.Kept == "" {
		t.Errorf("what a rolling update had brought is not kept: %+v", o)
	}
}
