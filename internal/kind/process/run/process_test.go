package run_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/run"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

func TestRunner_Environment(t *testing.T) {
	t.Setenv("AGENT_SECRET", "hunter2")
	h := newHand(t)
	h.change = func(s *process.Spec) {
		s.Env["GREETING"] = process.Value{Literal: "hello"}
		s.Env["SELF"] = process.Value{Component: "api", Output: "address"}
	}
	h.up(one)
	env := strings.Split(kindtest.Get(h.url()+"/env"), "\n")
	for _, want := range []string{
		"GREETING=hello", "HOST=127.0.0.1", "TOWPATH_PROJECT=shop", "TOWPATH_ENVIRONMENT=dev", "TOWPATH_COMPONENT=api",
		"TOWPATH_REVISION=" + string(h.observed().Revision), "SELF=" + h.observed().Address,
	} {
		if !slices.Contains(env, want) {
			t.Errorf("the process does not see %s in %q", want, env)
		}
	}
	known := []string{"GREETING", "SELF", "HOST", "PORT", "PATH", "HOME", "LANG", "TZ", "TMPDIR"}
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if !slices.Contains(known, name) && !strings.HasPrefix(name, "TOWPATH_") && !strings.HasPrefix(name, "APP_") {
			t.Errorf("the process sees %s of the agent's own environment", name)
		}
	}
}

func TestRunner_Drain(t *testing.T) {
	hold := func(t *testing.T, h *hand) (finish func(), answer <-chan string) {
		t.Helper()
		pr, pw := io.Pipe()
		out := make(chan string, 1)
		go func() {
			resp, err := http.Post(h.url()+"/hold", "text/plain", pr)
			if err != nil {
				out <- err.Error()
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			out <- string(b)
		}()
		_, err := pw.Write([]byte("begin"))
		h.must(err)
		h.eventually("the request is under way", func() bool {
			st, err := h.router(t).Status(t.Context())
			return err == nil && st.InFlight(h.Target().Key(), "") == 1
		})
		return func() { pw.Close() }, out
	}
	t.Run("a request that began before the switch is finished by the old revision", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		finish, answer := hold(t, h)
		h.up(two)
		w := h.work(towpath.VerbRetire, two)
		w.Say = func(m string) { // says that it waits
			if strings.HasPrefix(m, "waiting") {
				finish()
			}
		}
		h.must(h.r.Retire(t.Context(), w))
		if got := <-answer; got != one {
			t.Errorf("the request was answered %q, want %q", got, one)
		}
	})
	t.Run("a request that takes longer than the stop grace is finished within the time that it has for its answer", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) { s.StopGrace, s.Drain, s.Answer = time.Millisecond, 0, 40*time.Second }
		h.up(one)
		finish, answer := hold(t, h)
		defer finish()
		h.up(two)
		w := h.work(towpath.VerbRetire, two)
		var said string
		w.Say = func(m string) {
			if said = m; strings.HasPrefix(m, "waiting up to 40s for 1 requests") {
				finish()
			}
		}
		h.must(h.r.Retire(t.Context(), w))
		if got := <-answer; got != one {
			t.Errorf("the request was answered %q, want %q; it said %q", got, one, said)
		}
		if left := h.glob("instances/*"); len(left) != 1 {
			t.Errorf("left: %q, want the new revision's instance alone", left)
		}
	})
	t.Run("what was kept is not ended in the midst of a request, and waited for by nobody", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Drain = time.Minute }
		h.up(one)
		finish, answer := hold(t, h)
		defer finish()
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.keep(two)))
		h.r = h.at(func() time.Time { return time.Now().Add(time.Hour + 10*time.Second) })
		h.must(h.r.Keep(t.Context()))
		h.wantRuns(1, 1)
		finish()
		if got := <-answer; got != one {
			t.Errorf("the request was answered %q, want %q", got, one)
		}
		h.eventually("it ends", func() bool { return h.r.Keep(t.Context()) == nil && len(h.glob("instances/*")) == 1 })
	})
	t.Run("a request that outlasts the drain, and a process that ignores SIGTERM, are cut off", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) {
			s.StopGrace, s.Drain = 300*time.Millisecond, 300*time.Millisecond
			s.Env[kindtest.AppMode] = process.Value{Literal: kindtest.Stubborn}
		}
		h.up(one)
		finish, answer := hold(t, h)
		defer finish()
		h.up(two)
		h.must(h.r.Retire(t.Context(), h.work(towpath.VerbRetire, two)))
		finish()
		if got := <-answer; got == one {
			t.Errorf("the request was answered %q by a process that should be gone", got)
		}
		if left := h.glob("instances/*"); len(left) != 1 {
			t.Errorf("left: %q, want the new revision's instance alone", left)
		}
	})
}

func TestRunner_Keep(t *testing.T) {
	t.Run("starts a process that died again, at the same address", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		url := h.url()
		_ = syscall.Kill(h.records()[0].PID, syscall.SIGKILL)
		h.eventually("the end is observed", func() bool { return h.observed().Health == towpath.HealthUnhealthy })
		h.eventually("it serves again", func() bool { return h.r.Keep(t.Context()) == nil && kindtest.Get(url) == one })
		if n := h.Starts(t, one); n != 2 {
			t.Errorf("started %d times, want 2", n)
		}
	})
	t.Run("says that somebody else has taken the address, until it has it back", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) {
			s.Verify.After = []process.Job{{Name: "answers", HTTP: &process.HTTPCheck{Path: "/"}, Timeout: 5 * time.Second}}
		}
		h.up(one)
		before := h.observed()
		st, err := h.router(t).Status(t.Context())
		h.must(err)
		_ = syscall.Kill(st.PID, syscall.SIGKILL)
		var thief net.Listener
		h.eventually("the address is free", func() bool {
			thief, err = net.Listen("tcp", before.Address)
			return err == nil
		})
		go func() { _ = http.Serve(thief, http.NotFoundHandler()) }()
		h.must(h.r.Keep(t.Context()))
		o := h.observed()
		if o.Health != towpath.HealthUnhealthy || !strings.Contains(o.Detail, before.Address+" is taken by somebody else") || o.Instances != 1 {
			t.Errorf("observed %+v", o)
		}
		if err := h.r.Verify(t.Context(), h.work(towpath.VerbVerifyAfter, one), kind.AfterSwitch); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("verified by somebody else's answer: %v", err)
		}
		err = h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, two))
		if failure := new(kind.Failure); err == nil || errors.As(err, &failure) {
			t.Errorf("prepare: %v, want an error that is no failure of the release", err)
		}
		thief.Close()
		h.eventually("it has its address back", func() bool { return h.observed().Health == towpath.HealthHealthy })
		if got := kindtest.Get(h.url()); got != one || h.observed().Address != before.Address {
			t.Errorf("%q at %s", got, h.observed().Address)
		}
	})
	t.Run("starts a router that died again, with its addresses and routes", func(t *testing.T) {
		h := newHand(t)
		h.up(one)
		url := h.url()
		st, err := h.router(t).Status(t.Context())
		h.must(err)
		_ = syscall.Kill(st.PID, syscall.SIGKILL)
		h.eventually("the end is observed", func() bool { return h.observed().Health == towpath.HealthUnhealthy })
		h.must(h.r.Keep(t.Context()))
		if got := kindtest.Get(url); got != one {
			t.Errorf("%s serves %q", url, got)
		}
		if n := h.Starts(t, one); n != 1 {
			t.Errorf("started %d times, want 1", n)
		}
	})
	t.Run("leaves a revision without traffic alone", func(t *testing.T) {
		h := newHand(t)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one)))
		pid := h.records()[0].PID
		_ = syscall.Kill(pid, syscall.SIGKILL)
		h.eventually("its end is written down", func() bool { return len(h.glob("instances/*/exit.json")) == 1 })
		h.must(h.r.Keep(t.Context()))
		if n := h.Starts(t, one); n != 1 {
			t.Errorf("started %d times, want 1", n)
		}
	})
}

// record is what the tests read of an instance's record.
type record struct {
	Shim, PID, Start int
	Revision         towpath.RevisionID
}

func (h *hand) records() []record {
	h.t.Helper()
	var out []record
	for _, p := range h.glob("instances/*/record.json") {
		b, err := os.ReadFile(p)
		h.must(err)
		var r record
		h.must(json.Unmarshal(b, &r))
		out = append(out, r)
	}
	return out
}

func TestRunner_Prepare(t *testing.T) {
	t.Run("runs as many instances as the spec says, and the router takes turns", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Instances = 3 }
		h.up(one)
		if o := h.observed(); o.Instances != 3 || h.Starts(t, one) != 3 {
			t.Errorf("observed %+v", o)
		}
		seen := map[string]bool{}
		for range 6 {
			for l := range strings.Lines(kindtest.Get(h.url() + "/env")) {
				if strings.HasPrefix(l, "PORT=") {
					seen[l] = true
				}
			}
		}
		if len(seen) != 3 {
			t.Errorf("requests went to %d instances", len(seen))
		}
	})
	t.Run("starts a process again whose shim was killed: that is no fault of the release", func(t *testing.T) {
		h := newHand(t)
		w := h.work(towpath.VerbPrepare, one)
		h.must(h.r.Prepare(t.Context(), w))
		r := h.records()[0]
		_ = syscall.Kill(r.Shim, syscall.SIGKILL)
		h.eventually("the process has died with its shim", func() bool { return gone(r.PID) })
		h.must(h.r.Prepare(t.Context(), w))
		if n := h.Starts(t, one); n != 2 {
			t.Errorf("started %d times, want 2", n)
		}
	})
	t.Run("does not start a crashed process again within one operation, but in the next", func(t *testing.T) {
		h := newHand(t)
		w := h.work(towpath.VerbPrepare, crash)
		failure := new(kind.Failure)
		for range 2 {
			if err := h.r.Prepare(t.Context(), w); !errors.As(err, &failure) || !slices.Contains(failure.Log, "the configuration is missing") {
				t.Fatalf("prepare: %v %+v", err, failure)
			}
		}
		if n := h.Starts(t, crash); n != 1 {
			t.Errorf("started %d times, want 1", n)
		}
		_ = h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, crash))
		if n := h.Starts(t, crash); n != 2 {
			t.Errorf("started %d times, want 2", n)
		}
	})
	t.Run("calls an address that is taken, and a command that is missing, failures", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		for name, change := range map[string]func(*process.Spec){
			"address": func(s *process.Spec) { s.Listen = ln.Addr().String() },
			"command": func(s *process.Spec) { s.Command = []string{"./no-such-program"} },
			"folder":  func(s *process.Spec) { s.WorkDir = "../../etc" },
			"output":  func(s *process.Spec) { s.Env["X"] = process.Value{Component: "api", Output: "password"} },
		} {
			h := newHand(t)
			h.change = change
			failure := new(kind.Failure)
			if err := h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one)); !errors.As(err, &failure) {
				t.Errorf("%s: %v, want a failure", name, err)
			}
		}
	})
	t.Run("waits for a component that has no address yet with an error, not a failure", func(t *testing.T) {
		h := newHand(t)
		h.change = func(s *process.Spec) { s.Env["API"] = process.Value{Component: "other", Output: "address"} }
		if err := h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one)); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("prepare: %v", err)
		}
	})
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func TestShimMain(t *testing.T) {
	t.Run("runs each start once, however many shims are started", func(t *testing.T) {
		h := newHand(t)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one)))
		dir := h.glob("instances/*")[0]
		h.must(exec.Command(self(t), "towpath-shim", dir).Run()) // beside it
		_ = syscall.Kill(h.records()[0].Shim, syscall.SIGTERM)
		h.eventually("its end is written down", func() bool { return len(h.glob("instances/*/exit.json")) == 1 })
		h.must(exec.Command(self(t), "towpath-shim", dir).Run()) // after it
		if n := h.Starts(t, one); n != 1 {
			t.Errorf("started %d times, want 1", n)
		}
	})
	t.Run("outlives the session and group of whoever started it", func(t *testing.T) {
		h := newHand(t)
		h.must(h.r.Prepare(t.Context(), h.work(towpath.VerbPrepare, one)))
		sid, err := syscall.Getpgid(h.records()[0].Shim)
		ours, _ := syscall.Getpgid(os.Getpid())
		if err != nil || sid == ours || sid != h.records()[0].Shim {
			t.Errorf("the shim is in group %d (%v), ours is %d", sid, err, ours)
		}
	})
	t.Run("does nothing in a folder without a spec", func(t *testing.T) {
		if err := run.ShimMain(t.TempDir()); err != nil {
			t.Error(err)
		}
	})
}

func TestRunner_Verify(t *testing.T) {
	script := func(h *hand, name, text string) {
		h.must(os.WriteFile(filepath.Join(h.files, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	for _, c := range []struct {
		name string
		job  process.Job
		fail string // in the failure's message; "" passes
	}{
		{"passes a command that succeeds, told the address", process.Job{Command: []string{"./smoke"}}, ""},
		{"fails a command that does not", process.Job{Command: []string{"./broken"}}, "job broken failed: exit status 7"},
		{"fails a command that takes too long", process.Job{Command: []string{"./slow"}, Timeout: 200 * time.Millisecond}, "did not end within 200ms"},
		{"fails a command that is missing", process.Job{Command: []string{"./none"}}, "neither in the release's files"},
		{"passes an answer with the status and text", process.Job{HTTP: &process.HTTPCheck{Path: "/", Contains: one}}, ""},
		{"fails another status", process.Job{HTTP: &process.HTTPCheck{Path: "/none"}}, "answered 404, not 200"},
		{"fails another text", process.Job{HTTP: &process.HTTPCheck{Path: "/", Contains: "two"}}, "does not contain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHand(t)
			script(h, "smoke", `test -n "$TOWPATH_ADDRESS" && test "$TOWPATH_URL" = "http://$TOWPATH_ADDRESS" && test "$PWD" = `+h.files)
			script(h, "broken", "echo no table orders >&2; exit 7")
			script(h, "slow", "while :; do :; done")
			c.job.Name = "broken"
			h.change = func(s *process.Spec) {
				s.Verify = process.Verify{Before: []process.Job{c.job}, After: []process.Job{c.job}}
			}
			h.up(one)
			for _, stage := range []kind.Stage{kind.BeforeSwitch, kind.AfterSwitch} {
				err := h.r.Verify(t.Context(), h.work(towpath.VerbVerifyBefore, one), stage)
				failure := new(kind.Failure)
				switch {
				case c.fail == "" && err != nil:
					t.Errorf("%s: %v", stage, err)
				case c.fail != "" && (!errors.As(err, &failure) || !strings.Contains(err.Error(), c.fail)):
					t.Errorf("%s: %v, want a failure that says %q", stage, err, c.fail)
				}
			}
		})
	}
}
