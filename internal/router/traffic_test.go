package router

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// beside is traffic to revisions that answer with their names: the first is the
// main one.
func beside(t *testing.T, weights ...int) route.Traffic {
	t.Helper()
	var out route.Traffic
	for i, w := range weights {
		rev := towpath.RevisionID(fmt.Sprintf("rev_%d", i))
		in := []route.Instance{backend(t, string(rev))}
		if i == 0 {
			out.Revision, out.Instances, out.Weight = rev, in, w
			continue
		}
		out.Others = append(out.Others, route.Backend{Revision: rev, Instances: in, Weight: w})
	}
	return out
}

// ask sends a request with headers given as name and value.
func ask(t *testing.T, client *http.Client, url string, headers ...string) (revision string, resp *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err = client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp
}

func TestPlan_Weights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 60), 1, 6).Draw(t, "weights")
		sum := 0
		tr := route.Traffic{}
		for i, w := range weights {
			b := route.Backend{Revision: towpath.RevisionID(fmt.Sprint(i)), Weight: w, Instances: []route.Instance{{ID: "a"}}}
			sum += w
			if i == 0 {
				tr.Revision, tr.Weight, tr.Instances = b.Revision, w, b.Instances
				continue
			}
			tr.Others = append(tr.Others, b)
		}
		if sum == 0 || len(weights) == 1 {
			return
		}
		p := newPlan(route.Route{Name: name, Traffic: tr}, newCounter(), nil)
		var went []towpath.RevisionID
		for range 3 * sum {
			went = append(went, p.next().Revision)
		}
		for from := range 2 * sum { // any window, not only the first
			got := make([]int, len(weights))
			for _, rev := range went[from : from+sum] {
				i := 0
				_, _ = fmt.Sscan(string(rev), &i)
				got[i]++
			}
			if !slices.Equal(got, weights) {
				t.Fatalf("of the %d requests from the %dth on, %v went; the weights are %v", sum, from, got, weights)
			}
		}
	})
}

func TestRouter_Weights(t *testing.T) {
	shares := func(t *testing.T, url string, n int) map[string]int {
		got := map[string]int{}
		for range n {
			rev, _ := ask(t, http.DefaultClient, url)
			got[rev]++
		}
		return got
	}
	t.Run("sends each revision its share, exactly", func(t *testing.T) {
		url, _ := serveTraffic(t, beside(t, 75, 20, 5))
		if got := shares(t, url, 100); got["rev_0"] != 75 || got["rev_1"] != 20 || got["rev_2"] != 5 {
			t.Errorf("went %v", got)
		}
	})
	t.Run("sends nothing by weight to one of weight 0, and spares one without instances", func(t *testing.T) {
		tr := beside(t, 1, 0, 1)
		tr.Others[1].Instances = nil
		url, _ := serveTraffic(t, tr)
		if got := shares(t, url, 10); got["rev_0"] != 10 {
			t.Errorf("went %v", got)
		}
	})
	t.Run("changes all weights at once", func(t *testing.T) {
		tr := beside(t, 1, 0)
		url, l := serveTraffic(t, tr)
		if got := shares(t, url, 4); got["rev_0"] != 4 {
			t.Fatalf("before: %v", got)
		}
		tr.Weight, tr.Others = 0, slices.Clone(tr.Others)
		tr.Others[0].Weight = 1
		l.become(route.Route{Name: name, Traffic: tr})
		if got := shares(t, url, 4); got["rev_1"] != 4 {
			t.Errorf("after: %v", got)
		}
	})
	t.Run("starves no small share when instances come and go", func(t *testing.T) {
		tr := beside(t, 9, 1)
		url, l := serveTraffic(t, tr)
		got := map[string]int{}
		for range 10 {
			l.become(route.Route{Name: name, Traffic: tr})
			maps.Copy(got, shares(t, url, 1))
		}
		if got["rev_1"] != 1 {
			t.Errorf("went %v", got)
		}
	})
}

func TestRouter_Sticky(t *testing.T) {
	t.Run("a browser stays with its revision by cookie while that has weight", func(t *testing.T) {
		tr := beside(t, 1, 1)
		tr.Sticky = &route.Sticky{Cookie: "towpath"}
		url, l := serveTraffic(t, tr)
		was := map[*http.Client]string{}
		for range 4 {
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Jar: jar}
			first, resp := ask(t, client, url)
			if len(resp.Cookies()) != 1 || strings.Contains(resp.Header.Get("Set-Cookie"), "rev_") {
				t.Fatalf("cookies %v", resp.Cookies())
			}
			was[client] = first
		}
		if got := slices.Sorted(maps.Values(was)); !slices.Equal(got, []string{"rev_0", "rev_0", "rev_1", "rev_1"}) {
			t.Fatalf("equal weights gave %v", got)
		}
		tr.Weight = 100
		l.become(route.Route{Name: name, Traffic: tr})
		for client, rev := range was {
			for range 3 {
				if now, resp := ask(t, client, url); now != rev || len(resp.Cookies()) > 0 {
					t.Fatalf("was with %s, is with %s, %v", rev, now, resp.Cookies())
				}
			}
		}
		tr.Others[0].Weight = 0
		l.become(route.Route{Name: name, Traffic: tr})
		for client, rev := range was {
			now, resp := ask(t, client, url)
			if now != "rev_0" || (len(resp.Cookies()) > 0) != (rev == "rev_1") {
				t.Errorf("was with %s, which has no weight, and is with %s, %v", rev, now, resp.Cookies())
			}
		}
	})
	t.Run("clients stay with their revision by header, also when weights change", func(t *testing.T) {
		tr := beside(t, 1, 1)
		tr.Sticky = &route.Sticky{Header: "X-User"}
		url, l := serveTraffic(t, tr)
		was := map[string]string{}
		for i := range 60 {
			user := fmt.Sprint("user", i)
			was[user], _ = ask(t, http.DefaultClient, url, "X-User", user)
		}
		seen := map[string]int{}
		for _, rev := range was {
			seen[rev]++
		}
		if seen["rev_0"] < 15 || seen["rev_1"] < 15 {
			t.Errorf("equal weights gave %v", seen)
		}
		tr.Weight = 99
		l.become(route.Route{Name: name, Traffic: tr})
		for user, rev := range was {
			if now, _ := ask(t, http.DefaultClient, url, "X-User", user); now != rev {
				t.Errorf("%s was with %s and is with %s", user, rev, now)
			}
		}
		tr.Others[0].Weight = 0
		l.become(route.Route{Name: name, Traffic: tr})
		for user := range was {
			if now, _ := ask(t, http.DefaultClient, url, "X-User", user); now != "rev_0" {
				t.Errorf("%s is with %s, which has no weight", user, now)
			}
		}
	})
	t.Run("a router that remembers nobody moves few, and only to what has grown", func(t *testing.T) {
		tr := beside(t, 90, 10)
		before := newPlan(route.Route{Name: name, Traffic: tr}, newCounter(), nil)
		tr.Others[0].Weight = 30
		after := newPlan(route.Route{Name: name, Traffic: tr}, newCounter(), nil)
		had, has := 0, 0
		for i := range 1000 {
			was, is := before.ofClient(fmt.Sprint(i), &stuck{}), after.ofClient(fmt.Sprint(i), &stuck{})
			if was.Revision == "rev_1" {
				had++
			}
			if is.Revision == "rev_1" {
				has++
			} else if was.Revision == "rev_1" {
				t.Errorf("client %d went to what has shrunk", i)
			}
		}
		if had < 80 || had > 120 || has < 220 || has > 280 { // a tenth, a quarter
			t.Errorf("%d of 1000 had the small one, %d have it now", had, has)
		}
	})
	t.Run("remembers a bounded number of clients, those seen last", func(t *testing.T) {
		s := &stuck{}
		for i := range uint64(3 * maxStuck) {
			s.get(1)
			s.put(i+10, "rev_1")
			if i == 0 {
				s.put(1, "rev_0")
			}
		}
		if n := len(s.newer) + len(s.old); n > 2*maxStuck || s.get(1) != "rev_0" || s.get(10) != "" {
			t.Errorf("remembers %d, the busy one: %q, the oldest: %q", n, s.get(1), s.get(10))
		}
	})
}

func TestRouter_Match(t *testing.T) {
	tr := beside(t, 1, 0, 0, 0)
	tr.Match = []route.Match{
		{Revision: "rev_1", Header: "X-Group", Exact: "beta"},
		{Revision: "rev_2", Header: "User-Agent", Regex: "^curl/[78]"},
		{Revision: "rev_3", Cookie: "experiment", Exact: "b"},
	}
	tr.Sticky = &route.Sticky{Cookie: "towpath"}
	url, l := serveTraffic(t, tr)
	for _, c := range []struct {
		what, name, value, want string
	}{
		{"an exact header", "X-Group", "beta", "rev_1"},
		{"the beginning of it only", "X-Group", "beta2", "rev_0"},
		{"a pattern", "User-Agent", "curl/8.1", "rev_2"},
		{"no pattern", "User-Agent", "not curl/8.1", "rev_0"},
		{"a cookie", "Cookie", "experiment=b", "rev_3"},
		{"another cookie", "Cookie", "experiment=a", "rev_0"},
		{"a cookie, whatever revision the client had", "Cookie", "experiment=b; towpath=" + token("rev_0"), "rev_3"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got, resp := ask(t, http.DefaultClient, url, c.name, c.value)
			if got != c.want || c.want != "rev_0" && len(resp.Cookies()) > 0 {
				t.Errorf("went to %s, with cookies %v; want %s", got, resp.Cookies(), c.want)
			}
		})
	}
	t.Run("of a revision without instances leaves it to the weights", func(t *testing.T) {
		tr.Others[0].Instances = nil
		l.become(route.Route{Name: name, Traffic: tr})
		if got, _ := ask(t, http.DefaultClient, url, "X-Group", "beta"); got != "rev_0" {
			t.Errorf("went to %s", got)
		}
	})
}

func TestCheck(t *testing.T) {
	err := check(&route.Traffic{
		Revision: "rev_1", Others: []route.Backend{{Revision: "rev_1"}, {Revision: "rev_2", Weight: -1, Protocol: "spdy"}},
		Match: []route.Match{{Revision: "rev_9", Header: "A", Cookie: "b", Regex: "("}}, Sticky: &route.Sticky{Cookie: "a b", Toward: "rev_7"},
		Mirror: &route.Mirror{Revision: "rev_8", Percent: 101}, Limits: route.Limits{MaxBody: -2}, Trusted: make([]netip.Prefix, route.MaxTrusted+1),
	})
	for _, want := range []string{
		"rev_1 stands in it twice", "weight -1", `"spdy"`, `"rev_9", which is not`, "a header or at a cookie", "is none", `"a b" is no name`,
		`"rev_8", which is not`, `"rev_7", which is not`, "101 percent", "negative", "rev_1 trusts 65 ranges", "addresses that rev_1 trusts is none",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("does not say %q: %v", want, err)
		}
	}
	if err := check(&route.Traffic{Revision: "rev_1", Others: []route.Backend{{Revision: "rev_2"}}}); towpath.KindOf(err) != towpath.KindInvalid {
		t.Errorf("no weight at all: %v", err)
	}
	if err := check(&route.Traffic{}); err != nil {
		t.Errorf("nothing: %v", err)
	}
}
