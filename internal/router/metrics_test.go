package router

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// inProcess is a router without a process, with one route, and its metrics as
// Prometheus would read them.
func inProcess(t *testing.T) (s *server, url string, scrape func() map[string]*dto.MetricFamily) {
	t.Helper()
	s, err := newServer(t.TempDir(), newShared(slog.New(slog.DiscardHandler), time.Now), &estate{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(time.Second) })
	st, err := s.Apply(route.Change{Route: name, Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	handler := controlHandler(s)
	return s, "http://" + addressOf(t, st), func() map[string]*dto.MetricFamily {
		t.Helper()
		for _, b := range s.routes[name].plan.Load().backends {
			awaitDrained(t, s.routes[name], b.Revision) // a client may have its answer a moment before it is counted
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		return families
	}
}

// value is a sample's, -1 if there is none of these labels, given as name=value.
func value(families map[string]*dto.MetricFamily, family string, labels ...string) float64 {
	for _, m := range families[family].GetMetric() {
		have := ""
		for _, l := range m.GetLabel() {
			have += " " + l.GetName() + "=" + l.GetValue() + " "
		}
		fits := true
		for _, l := range labels {
			fits = fits && strings.Contains(have, " "+l+" ")
		}
		switch {
		case !fits:
		case m.GetHistogram() != nil:
			return float64(m.GetHistogram().GetSampleCount())
		case m.GetGauge() != nil:
			return m.GetGauge().GetValue()
		default:
			return m.GetCounter().GetValue()
		}
	}
	return -1
}

func (s *server) mustApply(t *testing.T, tr route.Traffic) {
	t.Helper()
	if _, err := s.Apply(route.Change{Route: name, Traffic: &tr}); err != nil {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	const requests, duration = "towpath_router_requests_total", "towpath_router_request_duration_seconds"
	t.Run("begin at zero with a revision, and count by class, with its deployment and release", func(t *testing.T) {
		s, url, scrape := inProcess(t)
		status := http.StatusOK
		in := handle(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		s.mustApply(t, route.Traffic{Revision: "rev_1", Deployment: "dep_1", Release: "sha256:abc", Instances: []route.Instance{in}})
		labels := []string{"route=" + name, "revision=rev_1", "deployment=dep_1", "release=sha256:abc"}
		f := scrape()
		for _, class := range route.Classes() {
			if v := value(f, requests, append(labels, "class="+string(class))...); v != 0 {
				t.Errorf("%s begins at %v", class, v)
			}
		}
		if v := value(f, duration, labels...); v != 0 {
			t.Errorf("latencies begin at %v", v)
		}
		for i, code := range []int{200, 204, 301, 404, 500, 503, 503} {
			status = code
			get(t, url)
			if i == 0 {
				get(t, url+"/again")
			}
		}
		f = scrape()
		for class, want := range map[string]float64{"1xx": 0, "2xx": 3, "3xx": 1, "4xx": 1, "5xx": 3, "aborted": 0, "unanswered": 0} {
			if v := value(f, requests, append(labels, "class="+class)...); v != want {
				t.Errorf("%s: %v, want %v", class, v, want)
			}
		}
		h := f[duration].GetMetric()[0].GetHistogram()
		if n := len(h.GetBucket()); h.GetSampleCount() != 8 || n != 13 && n != 14 || h.GetBucket()[12].GetCumulativeCount() != 8 || h.GetSampleSum() <= 0 {
			t.Errorf("latencies %v", h)
		}
	})
	t.Run("an upgraded connection is one of 1xx, and as long as it took to be one", func(t *testing.T) {
		s, url, scrape := inProcess(t)
		s.mustApply(t, route.Traffic{Revision: "rev_1", Instances: []route.Instance{handle(t, upgrades)}})
		conn, answers := upgrade(t, url)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		<-tick.C // while it is open
		fmt.Fprint(conn, "hello\n")
		if got, err := answers.ReadString('\n'); got != "hello\n" {
			t.Errorf("got %q, %v", got, err)
		}
		conn.Close()
		awaitIdle(t, s.routes[name])
		f := scrape()
		if v := value(f, requests, "class=1xx"); v != 1 {
			t.Errorf("1xx: %v", f[requests])
		}
		if h := f[duration].GetMetric()[0].GetHistogram(); h.GetSampleCount() != 1 || h.GetSampleSum() > 0.049 {
			t.Errorf("latencies %v", h)
		}
	})
	t.Run("a revision that does not answer is counted as an error of its own", func(t *testing.T) {
		s, url, scrape := inProcess(t)
		s.mustApply(t, route.Traffic{Revision: "rev_1", Instances: []route.Instance{dead(t)}})
		get(t, url)
		if v := value(scrape(), requests, "revision=rev_1", "class=5xx"); v != 1 {
			t.Errorf("5xx: %v", v)
		}
	})
	t.Run("an answer that breaks off is an error, whatever its status was", func(t *testing.T) {
		s, url, scrape := inProcess(t)
		in := handle(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			panic(http.ErrAbortHandler)
		})
		s.mustApply(t, route.Traffic{Revision: "rev_1", Instances: []route.Instance{in}})
		resp, err := http.Get(url)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Error("the client took a part for the whole")
		}
		if f := scrape(); value(f, requests, "class=5xx") != 1 || value(f, requests, "class=2xx") != 0 {
			t.Errorf("counted %v", f[requests])
		}
	})
	t.Run("keep a revision that left until all who read have read it", func(t *testing.T) {
		s, url, scrape := inProcess(t)
		s.mustApply(t, beside(t, 1, 1))
		get(t, url)
		get(t, url)
		scrape()
		s.snapshot(readSnapshot)
		s.mustApply(t, route.Traffic{Revision: "rev_0", Instances: []route.Instance{backend(t, "one")}})
		if v := value(scrape(), requests, "revision=rev_1", "class=2xx"); v != 1 {
			t.Fatalf("before the agent read it: %v", v)
		}
		snap := s.snapshot(readSnapshot)
		last := snap.Series[len(snap.Series)-1]
		if last.Revision != "rev_1" || !last.Left || last.Client.Requests[route.Class2xx] != 1 {
			t.Errorf("the agent reads %+v", last)
		}
		if v := value(scrape(), requests, "revision=rev_1"); v != -1 {
			t.Errorf("still there: %v", v)
		}
		if v := value(scrape(), requests, "revision=rev_0", "class=2xx"); v != 1 {
			t.Errorf("the one that stays: %v", v)
		}
	})
	t.Run("are bounded when nobody reads", func(t *testing.T) {
		s, _, scrape := inProcess(t)
		for i := range 3 * maxLeft {
			s.mustApply(t, route.Traffic{Revision: towpath.RevisionID(fmt.Sprintf("rev_%03d", i))})
		}
		if n := len(scrape()[duration].GetMetric()); n != maxLeft+1 {
			t.Errorf("%d revisions", n)
		}
	})
}
