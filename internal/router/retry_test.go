package router

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// dying is an instance that takes a connection, reads the head of a request, and
// dies.
func dying(t *testing.T, seen *atomic.Int64) route.Instance {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				seen.Add(1)
			}
			conn.Close()
		}
	}()
	return route.Instance{ID: "dying", Address: ln.Addr().String()}
}

func TestProxy_Retries(t *testing.T) {
	t.Run("on another instance, what may be sent twice", func(t *testing.T) {
		var seen atomic.Int64
		url, l := serveRoute(t, dying(t, &seen), backend(t, "alive"))
		for range 4 {
			if status, body := get(t, url); status != http.StatusOK || body != "alive" {
				t.Errorf("got %d %s", status, body)
			}
		}
		if n := l.plan.Load().backends[0].series.retries.Load(); n != 2 || seen.Load() != 2 {
			t.Errorf("%d retries, %d requests seen by what died", n, seen.Load())
		}
	})
	t.Run("once, what was sent: it may be what ends them", func(t *testing.T) {
		var seen atomic.Int64
		url, _ := serveRoute(t, dying(t, &seen), dying(t, &seen), dying(t, &seen), dying(t, &seen))
		if status, _ := get(t, url); status != http.StatusBadGateway || seen.Load() != 2 {
			t.Errorf("got %d, and %d instances saw it", status, seen.Load())
		}
	})
	t.Run("once, what was sent on connections that are kept", func(t *testing.T) {
		var ended atomic.Int64
		in := make([]route.Instance, 4)
		for i := range in {
			in[i] = mortal(t, &ended)
		}
		url, _ := serveRoute(t, in...)
		for range in {
			get(t, url)
		}
		if status, _ := get(t, url+"/die"); status != http.StatusBadGateway || ended.Load() != 2 {
			t.Errorf("got %d, and it ended %d instances", status, ended.Load())
		}
		if status, _ := get(t, url); status != http.StatusOK {
			t.Errorf("afterwards got %d", status)
		}
	})
	t.Run("on each instance, what could not be sent", func(t *testing.T) {
		url, _ := serveRoute(t, dead(t), dead(t), dead(t), backend(t, "alive"), dead(t))
		for range 5 {
			if status, body := get(t, url); status != http.StatusOK || body != "alive" {
				t.Errorf("got %d %s", status, body)
			}
		}
	})
	t.Run("not what may take effect twice", func(t *testing.T) {
		var seen atomic.Int64
		url, l := serveRoute(t, dying(t, &seen), backend(t, "alive"))
		lost := 0
		for _, c := range []struct {
			method string
			body   io.Reader
		}{
			{http.MethodPost, strings.NewReader("order 66")}, {http.MethodPost, strings.NewReader("order 66")},
			{http.MethodPost, nil}, {http.MethodPost, nil},
			{http.MethodPut, strings.NewReader("its body is gone")}, {http.MethodPut, strings.NewReader("its body is gone")},
		} {
			r, err := http.NewRequestWithContext(t.Context(), c.method, url, c.body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusBadGateway {
				lost++
			}
		}
		if n := l.plan.Load().backends[0].series.retries.Load(); n != 0 || lost != 3 {
			t.Errorf("%d retries, %d lost", n, lost)
		}
	})
	t.Run("not on another revision", func(t *testing.T) {
		tr := beside(t, 0, 1)
		tr.Others[0].Instances = []route.Instance{dead(t), dead(t)}
		url, l := serveTraffic(t, tr)
		status, body := get(t, url)
		awaitIdle(t, l)
		if of := l.plan.Load().backends; status != http.StatusBadGateway || of[1].Revision != "rev_1" || of[1].series.client.read().Requests[route.Class5xx] != 1 {
			t.Errorf("got %d %s", status, body)
		}
	})
	t.Run("loses nothing when an instance whose connections are kept dies", func(t *testing.T) {
		first, second := newStoppable(t, "first"), newStoppable(t, "second")
		url, _ := serveRoute(t, first.Instance, second.Instance)
		for range 8 {
			get(t, url)
		}
		first.stop()
		for range 8 {
			resp, err := http.Post(url, "text/plain", strings.NewReader("order 66"))
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(b) != "second" {
				t.Errorf("got %d %s", resp.StatusCode, b)
			}
			resp.Body.Close()
		}
	})
}

// mortal is an instance that a request to /die ends.
func mortal(t *testing.T, ended *atomic.Int64) route.Instance {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{}
	srv.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/die" {
			ended.Add(1)
			srv.Close()
		}
	})
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })
	return route.Instance{ID: ln.Addr().String(), Address: ln.Addr().String()}
}

// stoppable is an instance that can be ended.
type stoppable struct {
	route.Instance
	stop func()
}

func newStoppable(t *testing.T, says string) stoppable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, says) })}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })
	return stoppable{route.Instance{ID: says, Address: ln.Addr().String()}, func() { srv.Close() }}
}

func TestRouter_Drain(t *testing.T) {
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	slow := handle(t, func(w http.ResponseWriter, _ *http.Request) { entered <- struct{}{}; <-leave; fmt.Fprint(w, "late") })
	c := newClient(t, t.TempDir())
	url := "http://" + addressOf(t, mustApply(t, c, to(1, "rev_1", slow)))
	done := make(chan string)
	go func() { _, body := get(t, url); done <- body }()
	<-entered
	drain := func(wait time.Duration) (int64, error) {
		d, err := c.Drain(t.Context(), route.Drain{Route: name, Revision: "rev_1", Wait: wait})
		return d.Left, err
	}
	if _, err := drain(time.Second); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("a revision that gets requests was drained: %v", err)
	}
	mustApply(t, c, to(2, "rev_2", backend(t, "two")))
	if n, err := drain(10 * time.Millisecond); n != 1 || err != nil {
		t.Errorf("at the deadline %d are left, %v", n, err)
	}
	drained := make(chan int64)
	go func() { n, _ := drain(time.Minute); drained <- n }()
	close(leave)
	if n := <-drained; n != 0 {
		t.Errorf("%d are left", n)
	}
	if body := <-done; body != "late" {
		t.Errorf("the request under way got %q", body)
	}
	if n, err := drain(time.Minute); n != 0 || err != nil {
		t.Errorf("with nothing under way %d are left, %v", n, err)
	}
}
