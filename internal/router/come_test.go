package router

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"testing"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// growing is a route whose clients come to rev_1, and a way to change its share.
func growing(t *testing.T, s route.Sticky) (url string, grow func(percent int)) {
	t.Helper()
	tr := beside(t, 99, 1)
	s.Toward = "rev_1"
	tr.Sticky = &s
	url, l := serveTraffic(t, tr)
	return url, func(percent int) {
		tr.Weight, tr.Others[0].Weight = 100-percent, percent
		l.become(route.Route{Name: name, Traffic: tr})
	}
}

func TestRouter_StickyAsItGrows(t *testing.T) {
	const clients = 200
	browsers := make([]*http.Client, clients)
	for i := range browsers {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browsers[i] = &http.Client{Jar: jar}
	}
	for _, by := range []struct {
		name  string
		by    route.Sticky
		exact bool // of the clients that come new
		ask   func(url string, client int) (string, *http.Response)
	}{
		{"by cookie", route.Sticky{Cookie: "who"}, true, func(url string, i int) (string, *http.Response) { return ask(t, browsers[i], url) }},
		{"by header", route.Sticky{Header: "X-User"}, false, func(url string, i int) (string, *http.Response) {
			return ask(t, http.DefaultClient, url, "X-User", fmt.Sprint("user", i))
		}},
	} {
		t.Run(by.name, func(t *testing.T) {
			url, grow := growing(t, by.by)
			met := map[int]bool{}
			for n, percent := range []int{5, 25, 50, 75} {
				grow(percent)
				for range 5 { // a client that asks often does not come sooner
					for i := range clients {
						rev, resp := by.ask(url, i)
						if met[i] && rev != "rev_1" {
							t.Fatalf("client %d had met rev_1 and is back with %s at %d %%", i, rev, percent)
						}
						met[i] = rev == "rev_1"
						if n > 0 && len(resp.Cookies()) > 0 {
							t.Fatalf("client %d is given %v, and has one", i, resp.Cookies())
						}
					}
				}
				have := 0
				for _, is := range met {
					if is {
						have++
					}
				}
				want, off := clients*percent/100, 25 // of a binomial: 3.5 standard deviations at most
				if by.exact && n == 0 {
					off = 0
				}
				if have < want-off || have > want+off {
					t.Errorf("%d of %d clients met it at %d %%, want %d", have, clients, percent, want)
				}
			}
		})
	}
	t.Run("nobody stays when it is gone", func(t *testing.T) {
		url, grow := growing(t, route.Sticky{Cookie: "who"})
		grow(50)
		for _, c := range browsers {
			ask(t, c, url)
		}
		grow(0)
		for _, c := range browsers {
			if rev, _ := ask(t, c, url); rev != "rev_0" {
				t.Fatalf("a client is still with %s", rev)
			}
		}
	})
	t.Run("who gives no name, or another rollout's, goes by weight", func(t *testing.T) {
		url, grow := growing(t, route.Sticky{Cookie: "who"})
		grow(50)
		got := map[string]int{}
		for _, cookie := range []string{"", "who=" + token("rev_9") + "-1", "who=" + token("rev_1") + "-10000", "who=x"} {
			for range 10 {
				rev, resp := ask(t, http.DefaultClient, url, "Cookie", cookie)
				if got[rev]++; len(resp.Cookies()) != 1 {
					t.Errorf("%q is given %v", cookie, resp.Cookies())
				}
			}
		}
		if got["rev_0"] != 20 || got["rev_1"] != 20 {
			t.Errorf("equal weights gave %v", got)
		}
		url, grow = growing(t, route.Sticky{Header: "X-User"})
		grow(50)
		clear(got)
		for range 10 {
			rev, resp := ask(t, http.DefaultClient, url)
			if got[rev]++; len(resp.Cookies()) > 0 {
				t.Errorf("is given %v", resp.Cookies())
			}
		}
		if got["rev_0"] != 5 || got["rev_1"] != 5 {
			t.Errorf("equal weights gave %v", got)
		}
	})
	t.Run("the next revision is met by others first", func(t *testing.T) {
		first := func(rev towpath.RevisionID) map[int]bool {
			tr := beside(t, 90, 10)
			tr.Others[0].Revision, tr.Sticky = rev, &route.Sticky{Header: "X-User", Toward: rev}
			p, out := newPlan(route.Route{Name: name, Traffic: tr}, newCounter(), nil), map[int]bool{}
			for i := range 1000 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-User", fmt.Sprint(i))
				out[i] = p.wanted(r, &stuck{}).to.Revision == rev
			}
			return out
		}
		one, two, twice := first("rev_1"), first("rev_2"), 0
		for i := range one {
			if one[i] && two[i] {
				twice++
			}
		}
		if twice > 40 { // 10 of 1000 are to be expected
			t.Errorf("%d of 1000 clients are the first both times", twice)
		}
	})
}
