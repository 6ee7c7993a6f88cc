package router

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

func mustReplace(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Replace(t.Context()); err != nil {
		b, _ := os.ReadFile(filepath.Join(c.cfg.Dir, logFile))
		t.Fatalf("%v\n%s", err, b)
	}
}

func mustStatus(t *testing.T, c *Client) route.Status {
	t.Helper()
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// load asks a route from four clients at a time, two of which keep their
// connections, until stop; none may be lost.
func load(t *testing.T, url string) (asked *atomic.Int64, stop func()) {
	t.Helper()
	asked = &atomic.Int64{}
	end := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		wg.Go(func() {
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				var resp *http.Response
				var err error
				if n%3 == 0 { // which nobody repeats by himself
					resp, err = client.Post(url, "text/plain", strings.NewReader("order 66"))
				} else {
					resp, err = client.Get(url)
				}
				if err != nil {
					t.Errorf("lost a request: %v", err)
					return
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("lost a request: %d %s %v", resp.StatusCode, b, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	return asked, func() { close(end); wg.Wait() }
}

// settle waits until nothing is under way: a client may have its answer a moment
// before it is counted.
func settle(t *testing.T, c *Client) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for st := mustStatus(t, c); st.InFlight(name, "") > 0; st = mustStatus(t, c) {
		<-tick.C
	}
}

func TestRouter_Switches(t *testing.T) {
	c := newClient(t, t.TempDir())
	first := newStoppable(t, "rev_0")
	url := "http://" + addressOf(t, mustApply(t, c, to(1, "rev_0", first.Instance)))
	asked, stop := load(t, url)
	was := first
	for i := range 20 {
		old, rev := towpath.RevisionID(was.ID), towpath.RevisionID(fmt.Sprintf("rev_%d", i+1))
		next := newStoppable(t, string(rev))
		beside := to(int64(i+1), old, was.Instance)
		beside.Traffic.Weight = 3
		beside.Traffic.Others = []route.Backend{{Revision: rev, Instances: []route.Instance{next.Instance}, Weight: 1}}
		mustApply(t, c, beside)
		awaitMore(asked, 8)
		if i%5 == 4 { // back again
			next, rev, was, old = was, old, next, rev
		}
		mustApply(t, c, to(int64(i+1), rev, next.Instance))
		if d, err := c.Drain(t.Context(), route.Drain{Route: name, Revision: old, Wait: time.Minute}); err != nil || d.Left > 0 {
			t.Fatalf("not drained: %+v, %v", d, err)
		}
		was.stop()
		was = next
		awaitMore(asked, 8)
	}
	stop()
}

// awaitMore waits until some more requests have been answered.
func awaitMore(asked *atomic.Int64, n int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for until := asked.Load() + n; asked.Load() < until; {
		<-tick.C
	}
}

func TestRouter_Replace(t *testing.T) {
	t.Run("loses no request under load, and switches go on", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		was := newStoppable(t, "rev_0")
		st := mustApply(t, c, to(1, "rev_0", was.Instance))
		asked, stop := load(t, "http://"+addressOf(t, st))
		for i := range 5 {
			mustReplace(t, c)
			awaitMore(asked, 8)
			rev := towpath.RevisionID(fmt.Sprintf("rev_%d", i+1))
			next := newStoppable(t, string(rev))
			mustApply(t, c, to(int64(i+1), rev, next.Instance))
			if d, err := c.Drain(t.Context(), route.Drain{Route: name, Revision: towpath.RevisionID(was.ID), Wait: time.Minute}); err != nil || d.Left > 0 {
				t.Fatalf("not drained: %+v, %v", d, err)
			}
			was.stop()
			was = next
		}
		stop()
		settle(t, c)
		snap, err := c.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var counted uint64
		for _, s := range snap.Series {
			counted += s.Client.Requests[route.Class2xx]
		}
		if counted != uint64(asked.Load()) {
			t.Errorf("%d requests were answered and %d counted", asked.Load(), counted)
		}
	})
	t.Run("what is under way ends where it is, is counted, and is waited for", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		slow := handle(t, func(w http.ResponseWriter, _ *http.Request) { entered <- struct{}{}; <-leave; fmt.Fprint(w, "late") })
		before := mustApply(t, c, to(1, "rev_1", slow))
		url := "http://" + addressOf(t, before)
		done := make(chan string)
		go func() { _, body := get(t, url); done <- body }()
		<-entered
		mustReplace(t, c)
		mustReplace(t, c) // the first of three has it still
		st := mustApply(t, c, to(2, "rev_2", backend(t, "two")))
		if st.PID == before.PID || st.InFlight(name, "rev_2") != 1 {
			t.Errorf("under way: %+v", st)
		}
		drain := route.Drain{Route: name, Revision: "rev_1", Wait: 10 * time.Millisecond}
		if d, err := c.Drain(t.Context(), drain); err != nil || d.Left != 1 {
			t.Errorf("at the deadline %+v, %v", d, err)
		}
		close(leave)
		if body := <-done; body != "late" {
			t.Errorf("got %q", body)
		}
		drain.Wait = time.Minute
		if d, err := c.Drain(t.Context(), drain); err != nil || d.Left != 0 {
			t.Errorf("afterwards %+v, %v", d, err)
		}
		awaitExit(before.PID)
	})
	t.Run("a connection from before goes where the traffic goes now, once", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		one := newStoppable(t, "one")
		st := mustApply(t, c, to(1, "rev_1", one.Instance))
		conn, err := net.Dial("tcp", addressOf(t, st))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answers := bufio.NewReader(conn)
		ask := func() (string, bool) {
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(b), resp.Close
		}
		if got, closes := ask(); got != "one" || closes {
			t.Fatalf("before: %s, %v", got, closes)
		}
		mustReplace(t, c)
		mustApply(t, c, to(2, "rev_2", backend(t, "two")))
		one.stop()
		if got, closes := ask(); got != "two" || !closes {
			t.Errorf("after: %s, closes: %v", got, closes)
		}
		awaitExit(st.PID)
	})
	t.Run("an upgraded connection goes on", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		st := mustApply(t, c, to(1, "rev_1", handle(t, upgrades)))
		conn, r := upgrade(t, "http://"+addressOf(t, st))
		mustReplace(t, c)
		fmt.Fprint(conn, "hello\n")
		if got, err := r.ReadString('\n'); got != "hello\n" {
			t.Errorf("got %q, %v", got, err)
		}
		if n := mustStatus(t, c); n.InFlight(name, "") != 1 {
			t.Errorf("under way: %+v", n)
		}
		conn.Close()
		awaitExit(st.PID)
	})
	t.Run("counters go on", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		url := "http://" + addressOf(t, mustApply(t, c, to(1, "rev_1", backend(t, "one"))))
		for n := range uint64(3) {
			get(t, url)
			settle(t, c)
			snap, err := c.Snapshot(t.Context())
			if err != nil || len(snap.Series) != 1 || snap.Series[0].Client.Requests[route.Class2xx] != n+1 || snap.Series[0].Left {
				t.Errorf("after %d replacements: %+v, %v", n, snap.Series, err)
			}
			mustReplace(t, c)
		}
	})
	t.Run("a new router that dies leaves everything as it was", func(t *testing.T) {
		dir := t.TempDir()
		c := newClient(t, dir)
		before := mustApply(t, c, to(1, "rev_1", backend(t, "one")))
		asked, stop := load(t, "http://"+addressOf(t, before))
		c.cfg.Env = []string{failpoint.Variable + "=router.handover-go"}
		if err := c.Replace(t.Context()); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
		awaitMore(asked, 8)
		st := mustApply(t, c, to(2, "rev_2", backend(t, "two")))
		if st.PID != before.PID {
			t.Errorf("router %d was replaced by %d", before.PID, st.PID)
		}
		c.cfg.Env = nil
		mustReplace(t, c)
		awaitMore(asked, 8)
		stop()
	})
	t.Run("an old router that dies is started again, and nobody else has its lock", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		c.cfg.Env = []string{failpoint.Variable + "=router.handover-file:2"}
		before := mustApply(t, c, to(1, "rev_1", backend(t, "one")))
		c.cfg.Env = nil
		if err := c.Replace(t.Context()); err == nil {
			t.Error("replaced by a router that has not got everything")
		}
		if err := c.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, got := get(t, "http://"+addressOf(t, before)); got != "one" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("comes by itself, once, when the program is another one", func(t *testing.T) {
		dir := t.TempDir()
		before := mustApply(t, newClient(t, dir), to(1, "rev_1", backend(t, "one")))
		upgraded := newClient(t, dir)
		exe := filepath.Join(t.TempDir(), "towpath")
		b, err := os.ReadFile(upgraded.cfg.Executable)
		if err == nil {
			err = os.WriteFile(exe, b, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		upgraded.cfg.Executable = exe
		for range 2 {
			if err := upgraded.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		after := mustStatus(t, upgraded)
		if after.PID == before.PID {
			t.Error("the old program goes on")
		}
		same := newClient(t, dir)
		same.cfg.Executable = exe
		if err := same.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := mustStatus(t, same); st.PID != after.PID {
			t.Error("the same program was replaced")
		}
	})
}

// awaitExit waits until a process has ended. A child of the test is reaped by
// the client that started it.
func awaitExit(pid int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil {
		<-tick.C
	}
}
