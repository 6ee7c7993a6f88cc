package router

import (
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// taken is a router that came back after its route's address had been taken.
func taken(t *testing.T) (c *Client, address string, thief net.Listener) {
	t.Helper()
	c = newClient(t, t.TempDir())
	before := mustApply(t, c, to(1, "rev_1", backend(t, "one")))
	_ = syscall.Kill(before.PID, syscall.SIGKILL)
	waitGone(t, c)
	address = addressOf(t, before)
	thief, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { thief.Close() })
	if err := c.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, address, thief
}

func closed(t *testing.T, c *Client) string {
	t.Helper()
	st, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, _ := st.Find(name)
	return r.Closed["127.0.0.1:0"]
}

func TestRouter_AddressTaken(t *testing.T) {
	t.Run("says so, and opens the address as soon as it is free", func(t *testing.T) {
		c, address, thief := taken(t)
		if why := closed(t, c); !strings.Contains(why, address+" is taken by somebody else") {
			t.Errorf("says %q", why)
		}
		thief.Close()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for closed(t, c) != "" {
			<-tick.C
		}
		if _, got := get(t, "http://"+address); got != "one" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("serves other routes and changes the traffic meanwhile", func(t *testing.T) {
		c, address, thief := taken(t)
		other := to(1, "rev_1", backend(t, "other"))
		other.Route = "shop/dev/web/local/main"
		st := mustApply(t, c, other)
		r, _ := st.Find(other.Route)
		if _, got := get(t, "http://"+r.Listeners[0].Address); got != "other" {
			t.Errorf("the other route: %q", got)
		}
		kept := to(1, "rev_1", backend(t, "two"))
		kept.Listen = nil
		mustApply(t, c, kept)
		thief.Close()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for closed(t, c) != "" {
			<-tick.C
		}
		if _, got := get(t, "http://"+address); got != "two" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("calls a change that needs the address neither done nor in conflict", func(t *testing.T) {
		c, _, _ := taken(t)
		if _, err := c.Apply(t.Context(), to(2, "rev_2", backend(t, "two"))); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
	})
	t.Run("forgets an address that is not wanted any more", func(t *testing.T) {
		c, _, _ := taken(t)
		moved := to(2, "rev_2", backend(t, "two"))
		moved.Listen, moved.Traffic.Listen = []string{"localhost:0"}, "localhost:0"
		mustApply(t, c, moved)
		st := mustApply(t, c, route.Change{Route: name, Fence: 2, Listen: []string{"localhost:0"}, Prune: true})
		r, _ := st.Find(name)
		if status, got := get(t, "http://"+r.Address("localhost:0")); status != http.StatusOK || got != "two" || len(r.Closed) > 0 {
			t.Errorf("%d %q, closed %v", status, got, r.Closed)
		}
	})
}
