package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// beside opens a second server of a harness' installation, with an engine and
// agents of its own. It answers, and its loops do not run.
func (h *harness) beside(database string) *Server {
	h.t.Helper()
	s, err := New(h.t.Context(), Config{Data: h.s.cfg.Data, Database: database, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	must(h.t, 0, err)
	h.t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestServer_KnowsWhatAnotherWasTold: agents push to whichever server answers; a
// canary is judged by another one, by what its own engine answers.
func TestServer_KnowsWhatAnotherWasTold(t *testing.T) {
	database := dbtest.PostgresURL(t)
	h := startHarness(t, Config{Data: t.TempDir(), Database: database}, gittest.New(t))
	h.introduce()
	newCanary(t, h)
	h.objectives = []towpath.Objective{{
		Name: "orders", Kind: towpath.ObjectiveRatio, Bad: `orders_bad_total{revision="{{revision}}"}`, Total: `orders_total{revision="{{revision}}"}`,
		Target: 0.99, Critical: true,
	}}
	told := h.beside(database)
	for _, name := range []string{"metrics", "metrics-2"} {
		if _, err := os.Stat(filepath.Join(h.s.cfg.Data, name, "wal")); err != nil {
			t.Errorf("the servers don't have an engine each: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(h.s.cfg.Data, "metrics.unreadable")); err == nil {
		t.Error("one server took another's engine away")
	}
	h.publish("1.1.0", "two")
	c := h.counting()
	id := h.status("dev").Deployment.ID
	orders := map[string][2]float64{}
	pushes := func(revision towpath.RevisionID, bad float64) []towpath.MetricSample {
		have := orders[string(revision)]
		have[0], have[1] = have[0]+bad, have[1]+20
		orders[string(revision)] = have
		var out []towpath.MetricSample
		for i, name := range []string{"orders_bad_total", "orders_total"} {
			out = append(out, towpath.MetricSample{Value: have[i], Labels: map[string]string{"__name__": name, "revision": string(revision)}})
		}
		return out
	}
	push := func() {
		must(t, 0, told.agents.Sample(context.Background(), h.ana, agentrpc.SampleRequest{Session: "session-1", Sets: []towpath.SampleSet{{
			Target: towpath.Target{Project: shop, Environment: "dev", Component: "api", Place: "local", Slot: towpath.SlotMain},
			Series: append(pushes(c.old.Revision, 0), pushes(c.new.Revision, 10)...),
		}}}))
	}
	push()
	seen := 0
	h.until("it is rolled back by what another server was told", func() bool {
		if n := len(h.measurements(id)); n > seen {
			seen = n
			push()
			c.seconds(1, 0)
		}
		st := h.status("dev")
		return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of api is worse at 10 %: orders: Error rate 50 %")
	})
	for _, m := range h.measurements(id) {
		for _, r := range m.Readings {
			if r.Errored != "" {
				t.Errorf("it could not read: %s", r.Errored)
			}
		}
	}
	list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
	must(t, 0, err)
	if d := list.Items[0]; d.ID != id || d.Phase != towpath.DeploymentRolledBack {
		t.Errorf("the last deployment is %+v", d)
	}
	// The other way round, and after a restart.
	must(t, 0, h.s.agents.Sample(t.Context(), h.ana, agentrpc.SampleRequest{Session: "session-1", Sets: []towpath.SampleSet{{
		Target: towpath.Target{Project: shop, Environment: "dev", Component: "api", Place: "local", Slot: towpath.SlotMain},
		Series: []towpath.MetricSample{{Value: 7, Labels: map[string]string{"__name__": "queue"}}},
	}}}))
	must(t, 0, told.Close())
	again := h.beside(database).samples.(promql.Source)
	if got := answered(t)(again.Query(t.Context(), "queue", time.Now())); len(got) != 1 || got[0].Value != 7 {
		t.Errorf("it answers %v", got)
	}
	if got := answered(t)(again.Query(t.Context(), "count(orders_total)", time.Now())); len(got) != 1 || got[0].Value != 2 {
		t.Errorf("it answers %v", got)
	}
}
