package router

import (
	"net/http"
	"slices"
	"syscall"
	"testing"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// answeredBy counts who answers some requests.
func answeredBy(t *testing.T, client *http.Client, url string, requests int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for range requests {
		who, _ := ask(t, client, url)
		out[who]++
	}
	return out
}

func TestRoute_Out(t *testing.T) {
	without := func(l *live, ids ...string) {
		r := l.status().Route
		r.Out = ids
		l.become(r)
	}
	t.Run("an instance that is out gets no new requests while another one is in", func(t *testing.T) {
		url, l := serveRoute(t, backend(t, "a"), backend(t, "b"), backend(t, "c"))
		without(l, "b")
		if got := answeredBy(t, http.DefaultClient, url, 12); got["a"] != 6 || got["c"] != 6 {
			t.Errorf("answered by %v", got)
		}
		without(l)
		if got := answeredBy(t, http.DefaultClient, url, 12); got["a"] != 4 || got["b"] != 4 || got["c"] != 4 {
			t.Errorf("when it is back answered by %v", got)
		}
	})
	t.Run("when all are out all are in", func(t *testing.T) {
		url, l := serveRoute(t, backend(t, "a"), backend(t, "b"))
		without(l, "a", "b")
		if got := answeredBy(t, http.DefaultClient, url, 8); got["a"] != 4 || got["b"] != 4 {
			t.Errorf("answered by %v", got)
		}
	})
	t.Run("it is tried when nobody else can be connected to", func(t *testing.T) {
		gone := dead(t)
		url, l := serveRoute(t, backend(t, "a"), gone)
		without(l, "a")
		if got := answeredBy(t, http.DefaultClient, url, 4); got["a"] != 4 {
			t.Errorf("answered by %v", got)
		}
	})
	t.Run("what each revision gets and counts stays as it is", func(t *testing.T) {
		tr := beside(t, 3, 1)
		tr.Instances = append(tr.Instances, backend(t, "hung"))
		url, l := serveTraffic(t, tr)
		without(l, "hung")
		if got := answeredBy(t, http.DefaultClient, url, 40); got["rev_0"] != 30 || got["rev_1"] != 10 {
			t.Errorf("answered by %v", got)
		}
		for i, want := range []uint64{30, 10} {
			if n := l.plan.Load().backends[i].series.client.read().Requests[route.Class2xx]; n != want {
				t.Errorf("%d requests counted of rev_%d, want %d", n, i, want)
			}
		}
	})
	t.Run("a client stays with its revision and goes to another instance of it", func(t *testing.T) {
		tr := beside(t, 1, 1)
		tr.Instances = append(tr.Instances, backend(t, "also rev_0"))
		tr.Sticky = &route.Sticky{Header: "X-User"}
		url, l := serveTraffic(t, tr)
		user := "a"
		for who := ""; who != "also rev_0"; user += "a" {
			if who, _ = ask(t, http.DefaultClient, url, "X-User", user); who == "also rev_0" {
				break
			}
		}
		without(l, "also rev_0")
		for range 6 {
			if who, _ := ask(t, http.DefaultClient, url, "X-User", user); who != "rev_0" {
				t.Errorf("it met %s", who)
			}
		}
	})
	t.Run("it is out until it is said otherwise, or has no traffic any more", func(t *testing.T) {
		c := newClient(t, t.TempDir())
		a, b := backend(t, "a"), backend(t, "b")
		url := "http://" + addressOf(t, mustApply(t, c, to(1, "rev_1", a, b)))
		out := func(want ...string) {
			t.Helper()
			st, err := c.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r, _ := st.Find(name); !slices.Equal(r.Out, want) {
				t.Errorf("%v are out, want %v", r.Out, want)
			}
		}
		mustApply(t, c, route.Change{Route: name, Fence: 1, Out: &[]string{"b", "nobody"}})
		out("b")
		mustApply(t, c, to(2, "rev_1", a, b))
		out("b")
		st, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(st.PID, syscall.SIGKILL)
		waitGone(t, c)
		if err := c.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		out("b")
		mustReplace(t, c)
		out("b")
		if got := answeredBy(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, url, 4); got["a"] != 4 {
			t.Errorf("answered by %v", got)
		}
		mustApply(t, c, to(3, "rev_2", a))
		out()
		mustApply(t, c, to(4, "rev_1", a, b))
		out()
		mustApply(t, c, route.Change{Route: name, Fence: 4, Out: &[]string{"a"}})
		mustApply(t, c, route.Change{Route: name, Fence: 4, Out: &[]string{}})
		out()
	})
}
