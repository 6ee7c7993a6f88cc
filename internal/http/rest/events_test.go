package rest_test

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func entry(seq int64, project towpath.ProjectName) ledger.Entry {
	return ledger.Entry{Seq: seq, Event: towpath.Event{
		ID: towpath.EventID("evt_" + strconv.FormatInt(seq, 10)), Action: "promotion.requested", Project: project, Actor: "ana", At: fixed(),
	}}
}

// stream opens a watch and returns a func that gives its next line that
// matters to prefix.
func stream(t *testing.T, s *apitest.Server, query string, header map[string]string) (next func(prefix string) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/projects/shop/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apitest.Token)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(resp.Body)
	return func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return rest
			}
		}
		return "end"
	}
}

func TestWatchEvents(t *testing.T) {
	world := func() *apitest.World {
		w := apitest.NewWorld()
		w.Append(entry(1, "shop"), entry(2, "other"), entry(3, "shop"))
		return w
	}
	t.Run("sends what is after a seq, then what comes, of the project only", func(t *testing.T) {
		s := apitest.New(t, world())
		next := stream(t, s, "?after=0", nil)
		if a, b := next("id: "), next("id: "); a != "1" || b != "3" {
			t.Fatalf("got %s, %s", a, b)
		}
		s.Append(entry(4, "other"), entry(5, "shop"))
		if got := next("id: "); got != "5" {
			t.Errorf("got %s", got)
		}
		if got := next("event: "); got != "promotion.requested" {
			t.Errorf("got %s", got)
		}
		if got := next("data: "); !strings.Contains(got, `"seq":5`) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("resumes after Last-Event-ID", func(t *testing.T) {
		next := stream(t, apitest.New(t, world()), "?after=0", map[string]string{"Last-Event-ID": "1"})
		if got := next("id: "); got != "3" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("begins now when no position is given", func(t *testing.T) {
		s := apitest.New(t, world())
		next := stream(t, s, "", nil)
		s.Append(entry(6, "shop"))
		if got := next("id: "); got != "6" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("finds what another server wrote by polling", func(t *testing.T) {
		s := apitest.New(t, world(), func(_ *rest.Config, d *rest.Deps) { d.Changed = nil })
		next := stream(t, s, "", nil)
		s.Append(entry(7, "shop"))
		if got := next("id: "); got != "7" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("says that it is still there", func(t *testing.T) {
		next := stream(t, apitest.New(t, world()), "", nil)
		if got := next(": still"); got != " here" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("ends after a while, so that the token is checked again", func(t *testing.T) {
		s := apitest.New(t, world(), func(c *rest.Config, _ *rest.Deps) { c.WatchFor = 50 * time.Millisecond })
		if got := stream(t, s, "", nil)("id: "); got != "end" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("refuses as an ordinary problem", func(t *testing.T) {
		s := apitest.New(t, failing("audit.Events", towpath.E(towpath.KindForbidden, "access", "ana may not read")))
		if a := send(t, s, request{method: http.MethodGet, path: "/api/v1/projects/shop/events"}); a.problem(t).Kind != towpath.KindForbidden {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		s = apitest.New(t, world())
		if a := send(t, s, request{method: http.MethodGet, path: "/api/v1/projects/shop/events?after=x"}); a.problem(t).Kind != towpath.KindInvalid {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("refuses more watches than its limit", func(t *testing.T) {
		s := apitest.New(t, world(), func(c *rest.Config, _ *rest.Deps) { c.MaxWatches = 1 })
		next := stream(t, s, "", nil)
		next(": towpath")
		if a := send(t, s, request{method: http.MethodGet, path: "/api/v1/projects/shop/events"}); a.problem(t).Kind != towpath.KindExhausted {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
}
