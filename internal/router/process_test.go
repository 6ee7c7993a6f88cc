package router

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

const name = "shop/dev/api/local/main"

// newClient is a client of a router process that the test ends.
func newClient(t *testing.T, dir string) *Client {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return newClientOf(t, dir, exe)
}

// newClientOf is newClient for a program.
func newClientOf(t testing.TB, dir, exe string) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{Dir: dir, Executable: exe, Args: []string{"towpath-router"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p, err := socketPath(dir)
		if b, rerr := os.ReadFile(filepath.Join(dir, lockFile)); rerr == nil {
			killRecorded(string(b), dir)
		}
		if err == nil && !strings.HasPrefix(p, dir) {
			_ = os.RemoveAll(filepath.Dir(p))
		}
	})
	return c
}

// killRecorded kills the PID of a lock if it is this folder's router.
func killRecorded(text, dir string) {
	var pid int
	if _, err := fmt.Sscan(text, &pid); err != nil || pid <= 1 {
		return
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(b), dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// backend answers with its name.
func backend(t *testing.T, says string) route.Instance {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, says) }))
	t.Cleanup(srv.Close)
	return route.Instance{ID: says, Address: srv.Listener.Addr().String()}
}

// to is a change that sends all traffic of the route to instances.
func to(fence int64, rev towpath.RevisionID, in ...route.Instance) route.Change {
	return route.Change{
		Route: name, Fence: fence, Operation: "op_1", Listen: []string{"127.0.0.1:0"},
		Traffic: &route.Traffic{Revision: rev, Listen: "127.0.0.1:0", Instances: in},
	}
}

func mustApply(t *testing.T, c *Client, change route.Change) route.Status {
	t.Helper()
	st, err := c.Apply(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func addressOf(t *testing.T, st route.Status) string {
	t.Helper()
	r, ok := st.Find(name)
	if !ok || len(r.Listeners) == 0 {
		t.Fatalf("no listener in %+v", st)
	}
	return r.Listeners[0].Address
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestRouter_Crash(t *testing.T) {
	t.Run("a router that was killed comes back with its addresses and routes", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		before := mustApply(t, c, to(1, "rev_1", backend(t, "one")))
		_ = syscall.Kill(before.PID, syscall.SIGKILL)
		waitGone(t, c)
		if err := c.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := c.Status(t.Context())
		if err != nil || after.PID == before.PID || after.Generation != before.Generation || addressOf(t, after) != addressOf(t, before) {
			t.Fatalf("before %+v, after %+v, %v", before, after, err)
		}
		if _, got := get(t, "http://"+addressOf(t, after)); got != "one" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a router that finds the lock of one that is dying is started again", func(t *testing.T) {
		dir := t.TempDir()
		c := newClient(t, dir)
		dying, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(int(dying.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		up := make(chan error, 1)
		go func() { up <- c.Ensure(t.Context()) }()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			if b, _ := os.ReadFile(filepath.Join(dir, logFile)); strings.Contains(string(b), "another router serves this folder") {
				break
			}
			<-tick.C
		}
		dying.Close()
		if err := <-up; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("one router serves a folder, however many are started", func(t *testing.T) {
		dir := t.TempDir()
		c := newClient(t, dir)
		if err := c.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := Main(t.Context(), Config{Dir: dir, Now: time.Now}); towpath.KindOf(err) != towpath.KindLocked {
			t.Errorf("a second one: %v, want it locked out", err)
		}
		var wg sync.WaitGroup
		for range 4 {
			other := newClient(t, dir)
			wg.Go(func() {
				if err := other.Ensure(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("a folder whose path is too long for a socket works", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
		c := newClient(t, dir)
		st := mustApply(t, c, to(1, "rev_1", backend(t, "one")))
		if _, got := get(t, "http://"+addressOf(t, st)); got != "one" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a damaged configuration is not started from", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, configFile), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Main(t.Context(), Config{Dir: dir, Now: time.Now}); towpath.KindOf(err) != towpath.KindInternal {
			t.Errorf("got %v", err)
		}
	})
}

func waitGone(t *testing.T, c *Client) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := c.Status(t.Context()); err != nil {
			return
		}
		<-tick.C
	}
}

func TestRouter_Apply(t *testing.T) {
	t.Run("loses no request over a hundred switches", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		instances := []route.Instance{backend(t, "one"), backend(t, "two")}
		url := "http://" + addressOf(t, mustApply(t, c, to(1, "rev_0", instances[0])))
		var asked atomic.Int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if status, got := get(t, url); status != http.StatusOK {
						t.Errorf("lost a request: %d %s", status, got)
						return
					}
					asked.Add(1)
				}
			})
		}
		for i := range 100 {
			mustApply(t, c, to(int64(i+1), towpath.RevisionID(fmt.Sprintf("rev_%d", i)), instances[i%2]))
			if _, got := get(t, url); got != instances[i%2].ID {
				t.Fatalf("after the switch to %s: %q", instances[i%2].ID, got)
			}
		}
		close(stop)
		wg.Wait()
		if asked.Load() == 0 {
			t.Error("nobody asked")
		}
	})
	t.Run("refuses a lower fence and changes nothing then", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		st := mustApply(t, c, to(7, "rev_1", backend(t, "one")))
		if _, err := c.Apply(t.Context(), to(6, "rev_2", backend(t, "two"))); towpath.KindOf(err) != towpath.KindLocked {
			t.Fatalf("got %v", err)
		}
		if _, got := get(t, "http://"+addressOf(t, st)); got != "one" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("says that an address is taken and changes nothing then", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c := newClient(t, t.TempDir())
		before := mustApply(t, c, to(1, "rev_1", backend(t, "one")))
		bad := to(2, "rev_2", backend(t, "two"))
		bad.Listen = []string{ln.Addr().String()}
		if _, err := c.Apply(t.Context(), bad); towpath.KindOf(err) != towpath.KindConflict {
			t.Fatalf("got %v", err)
		}
		after, _ := c.Status(t.Context())
		if r, _ := after.Find(name); after.Generation != before.Generation || r.Traffic.Revision != "rev_1" || r.Fence != 1 {
			t.Errorf("after: %+v", after)
		}
	})
	t.Run("serves a second address beside the first, and one alone after pruning", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		first := addressOf(t, mustApply(t, c, to(1, "rev_1", backend(t, "one"))))
		other := to(2, "rev_2", backend(t, "two"))
		other.Listen, other.Traffic.Listen = []string{"localhost:0"}, "localhost:0"
		st := mustApply(t, c, other)
		r, _ := st.Find(name)
		second := r.Address("localhost:0")
		for _, a := range []string{first, second} {
			if _, got := get(t, "http://"+a); got != "two" {
				t.Errorf("%s serves %q", a, got)
			}
		}
		mustApply(t, c, route.Change{Route: name, Fence: 2, Listen: []string{"localhost:0"}, Prune: true})
		if status, _ := get(t, "http://"+first); status != 0 {
			t.Errorf("the pruned address still answers %d", status)
		}
		if _, got := get(t, "http://"+second); got != "two" {
			t.Errorf("%s serves %q", second, got)
		}
	})
	t.Run("takes a removed route down, twice if need be, and counts what is under way", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		entered, leave := make(chan struct{}), make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-leave }))
		defer srv.Close()
		address := addressOf(t, mustApply(t, c, to(1, "rev_1", route.Instance{ID: "a", Address: srv.Listener.Addr().String()})))
		done := make(chan int)
		go func() { status, _ := get(t, "http://"+address); done <- status }()
		<-entered
		for range 2 {
			st := mustApply(t, c, route.Change{Route: name, Fence: 2, Remove: true})
			if _, ok := st.Find(name); ok || st.InFlight(name, "") != 1 {
				t.Errorf("after removal: %+v", st)
			}
		}
		if status, _ := get(t, "http://"+address); status != 0 {
			t.Errorf("the removed address still answers %d", status)
		}
		close(leave)
		if status := <-done; status != http.StatusOK {
			t.Errorf("the request under way got %d", status)
		}
		st, err := c.Status(t.Context())
		if err != nil || slices.ContainsFunc(st.Routes, func(r route.RouteStatus) bool { return len(r.InFlight) > 0 }) {
			t.Errorf("afterwards: %+v %v", st, err)
		}
	})
}
