package run_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// newH2C drives revisions whose program speaks HTTP/2 without TLS and nothing
// else, and which have jobs and metrics.
func newH2C(t *testing.T) *hand {
	t.Helper()
	h := newHand(t)
	const recording = `{"log":{"entries":[{"request":{"method":"GET","url":"http://x/"},"response":{"status":200}}]}}`
	h.must(os.WriteFile(filepath.Join(h.files, "seen.har"), []byte(recording), 0o600))
	h.change = func(s *process.Spec) {
		s.Protocol = route.H2C
		s.Env[kindtest.AppMode] = process.Value{Literal: kindtest.H2C}
		s.Metrics = &process.Metrics{Path: "/metrics"}
		jobs := []process.Job{
			{Name: "answers", HTTP: &process.HTTPCheck{Path: "/"}},
			{Name: "as before", Replay: &process.Replay{Requests: "seen.har", Methods: []string{"GET"}, Rate: 100}},
		}
		s.Verify = process.Verify{Before: jobs, Step: jobs, After: jobs}
	}
	return h
}

// shift is an operation that gives a revision a share of what One has.
func (h *hand) shift(revision string, weight int) kind.Work {
	h.t.Helper()
	w := h.work(towpath.VerbShift, revision)
	before, _ := h.Spec(h.t, one)
	w.Operation.Spec.Previous, w.Operation.Spec.Weight = before.Revision, weight
	return w
}

func (h *hand) verified(revision string, stage kind.Stage) {
	h.t.Helper()
	h.must(h.r.Verify(h.t.Context(), h.work(towpath.VerbVerifyBefore, revision), stage))
}

// caller makes calls as gRPC does, over HTTP/2 to the router.
type caller struct {
	t      *testing.T
	client *http.Client
	url    string
}

func newCaller(t *testing.T, url string) *caller {
	t.Helper()
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	t.Cleanup(tr.CloseIdleConnections)
	return &caller{t, &http.Client{Transport: tr}, url + "/call"}
}

// stream is a call that has not ended.
type stream struct {
	send *io.PipeWriter
	resp *http.Response
	got  *bufio.Reader
}

func (c *caller) begin() (*stream, error) {
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url, r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Te", "trailers")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Proto") != "HTTP/2.0" {
		resp.Body.Close()
		return nil, fmt.Errorf("it answered %d, and was asked in %q", resp.StatusCode, resp.Header.Get("X-Proto"))
	}
	return &stream{w, resp, bufio.NewReader(resp.Body)}, nil
}

// say sends a line and gives the version that answers it.
func (s *stream) say(line string) (version string, err error) {
	if _, err := fmt.Fprintln(s.send, line); err != nil {
		return "", err
	}
	got, err := s.got.ReadString('\n')
	version, rest, _ := strings.Cut(strings.TrimSpace(got), " ")
	if err == nil && rest != line {
		err = fmt.Errorf("%q was answered with %q", line, got)
	}
	return version, err
}

// end ends the call, which has to say in its trailers that it went well.
func (s *stream) end() error {
	defer s.resp.Body.Close()
	s.send.Close()
	rest, err := io.ReadAll(s.got)
	if status := s.resp.Trailer.Get("Grpc-Status"); err == nil && (status != "0" || len(rest) > 0) {
		err = fmt.Errorf("it ended with the status %q after %q", status, rest)
	}
	return err
}

// call makes a whole call.
func (c *caller) call() (version string, err error) {
	s, err := c.begin()
	if err != nil {
		return "", err
	}
	version, err = s.say("hello")
	return version, errors.Join(err, s.end())
}

// answers counts which versions answer so many calls.
func (c *caller) answers(n int) map[string]int {
	c.t.Helper()
	out := map[string]int{}
	for range n {
		v, err := c.call()
		if err != nil {
			c.t.Fatal(err)
		}
		out[v]++
	}
	return out
}

// keepCalling makes calls until it is told to stop, and then says how many were
// made; one that is lost is an error of the test.
func (c *caller) keepCalling() (stop func() int64) {
	var made atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := c.call(); err != nil {
					c.t.Errorf("a call was lost: %v", err)
					return
				}
				made.Add(1)
			}
		})
	}
	return func() int64 { close(done); wg.Wait(); return made.Load() }
}

func TestRunner_HTTP2(t *testing.T) {
	t.Run("loses no call of a component that speaks nothing else through a canary", func(t *testing.T) {
		h := newH2C(t)
		h.up(one)
		c := newCaller(t, h.url())
		stop := c.keepCalling()
		long, err := c.begin()
		h.must(err)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		h.verified(two, kind.BeforeSwitch)
		if got := c.answers(10); got[one] != 10 {
			t.Errorf("before the canary %v answered", got)
		}
		h.must(h.r.Shift(t.Context(), h.shift(two, 50)))
		h.verified(two, kind.AtStep)
		if got := c.answers(50); got[one] == 0 || got[two] == 0 {
			t.Errorf("during the canary %v answered", got)
		}
		h.must(h.r.Switch(t.Context(), h.work(towpath.VerbSwitch, two)))
		h.verified(two, kind.AfterSwitch)
		if got := c.answers(10); got[two] != 10 {
			t.Errorf("after the canary %v answered", got)
		}
		if v, err := long.say("still here"); v != one || err != nil {
			t.Errorf("a call from before it was answered by %q, %v", v, err)
		}
		h.must(long.end())
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		if n := stop(); n == 0 {
			t.Error("no call was made meanwhile")
		}
		if o := h.observed(); o.Health != towpath.HealthHealthy {
			t.Errorf("it is %s: %s", o.Health, o.Detail)
		}
		if up := h.sampled()["up instance=0"]; up != 1 {
			t.Error("its metrics can't be read")
		}
	})
	t.Run("loses no call on its way back", func(t *testing.T) {
		h := newH2C(t)
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		h.must(h.r.Shift(t.Context(), h.shift(two, 50)))
		c := newCaller(t, h.url())
		stop := c.keepCalling()
		back := h.work(towpath.VerbRestore, one)
		h.must(h.r.Prepare(t.Context(), back))
		h.must(h.r.Switch(t.Context(), back))
		if got := c.answers(10); got[one] != 10 {
			t.Errorf("%v answered", got)
		}
		if n := stop(); n == 0 {
			t.Error("no call was made meanwhile")
		}
	})
	t.Run("stands beside a revision that spoke HTTP/1.1, and goes back to it", func(t *testing.T) {
		h := newH2C(t)
		speaks := h.change
		h.change = func(*process.Spec) {}
		h.up(one)
		w := h.work(towpath.VerbShift, one)
		back := h.work(towpath.VerbRestore, one)
		h.change = speaks
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		shift := h.shift(two, 50)
		shift.Operation.Spec.Previous = w.Operation.Spec.Revision
		h.must(h.r.Shift(t.Context(), shift))
		seen := map[string]int{}
		for range 20 {
			seen[kindtest.Get(h.url())]++
		}
		if seen[one] == 0 || seen[two] == 0 || seen[one]+seen[two] != 20 {
			t.Errorf("%v answered", seen)
		}
		back.Operation.Fence = shift.Operation.Fence + 1
		h.must(h.r.Switch(t.Context(), back))
		if got := kindtest.Get(h.url()); got != one {
			t.Errorf("%q answers", got)
		}
	})
	t.Run("gives it copies", func(t *testing.T) {
		h := newH2C(t)
		h.up(one)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		w := h.shift(two, 0)
		w.Operation.Spec.Copies = &towpath.TrafficCopies{Percent: 100}
		h.must(h.r.Shift(t.Context(), w))
		for range 10 {
			kindtest.Get(h.url())
		}
		h.eventually("the copies are counted", func() bool {
			all, err := h.r.Counts(t.Context())
			h.must(err)
			for _, rev := range all[0].Revisions {
				if rev.Copies != nil && rev.Copies.Requests == 10 {
					return rev.Copies.Failed == 0
				}
			}
			return false
		})
	})
	t.Run("shows it at its preview", func(t *testing.T) {
		h := newH2C(t)
		h.up(one)
		speaks := h.change
		h.change = func(s *process.Spec) { speaks(s); s.Preview = "127.0.0.1:0" }
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two)))
		if v, err := newCaller(t, "http://"+h.observed().Preview).call(); v != two || err != nil {
			t.Errorf("%q answered at the preview, %v", v, err)
		}
	})
	t.Run("loses no call while it is repaired", func(t *testing.T) {
		h := newH2C(t)
		h.up(one)
		c := newCaller(t, h.url())
		stop := c.keepCalling()
		h.must(h.r.Repair(t.Context(), h.work(towpath.VerbRepair, one)))
		c.answers(10)
		if n := stop(); n == 0 {
			t.Error("no call was made meanwhile")
		}
	})
	t.Run("sends it what an HTTP/1.1 client asks", func(t *testing.T) {
		h := newH2C(t)
		h.up(one)
		if got := kindtest.Get(h.url()); got != one {
			t.Errorf("%q answered", got)
		}
	})
}

// TestRunner_AsksGRPC: servers of gRPC answer no GET.
func TestRunner_AsksGRPC(t *testing.T) {
	mode := kindtest.H2C
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Protocol, s.Env[kindtest.AppMode] = route.H2C, process.Value{Literal: mode}
		s.Health.GRPC, s.Health.Path = true, ""
	}
	h.up(one)
	if o := h.observed(); o.Health != towpath.HealthHealthy {
		t.Errorf("it is %s: %s", o.Health, o.Detail)
	}
	speaks := h.change
	h.change = func(s *process.Spec) { speaks(s); s.Health.Deadline = time.Second }
	for wrong, want := range map[string]string{
		kindtest.Unwell:   "does not say that it serves",
		kindtest.Unserved: `ended with the status "12"`,
		kindtest.Two:      "was not healthy within", // it speaks HTTP/1.1
	} {
		mode = wrong
		err := h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two))
		if failure := new(kind.Failure); !errors.As(err, &failure) || !strings.Contains(failure.Message, want) {
			t.Errorf("%s: got %v, want a failure with %q", wrong, err, want)
		}
	}
}

func TestRunner_RefusesAProtocolThatItDoesNotKnow(t *testing.T) {
	h := newHand(t)
	h.change = func(s *process.Spec) { s.Protocol = "h4" }
	err := h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one))
	if failure := new(kind.Failure); !errors.As(err, &failure) || !strings.Contains(failure.Message, `"h4"`) {
		t.Errorf("got %v, want a failure that names the protocol", err)
	}
}
