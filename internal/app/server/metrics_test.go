package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// source is a metric source over HTTP whose counters grow with every question.
type source struct {
	t      *testing.T
	url    string
	mu     sync.Mutex
	asked  int
	broken bool
	bad    map[string]float64 // of 20 more, by revision
	have   map[string]float64
	// questions are how often it was asked about a revision.
	questions map[string]int
}

func newSource(t *testing.T) *source {
	s := &source{t: t, bad: map[string]float64{}, have: map[string]float64{}, questions: map[string]int{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// ServeHTTP answers bad{r="REVISION"}, total{r="REVISION"} and value{r="REVISION"}.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if user, password, _ := r.BasicAuth(); user != "ana" || password != "shh" || r.Header.Get("X-Scope-OrgID") != "tenant" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	query := r.FormValue("query")
	name, rest, _ := strings.Cut(query, `{r="`)
	revision := strings.TrimSuffix(rest, `"}`)
	s.questions[revision]++
	add := map[string]float64{"total": 20, "bad": s.bad[revision]}[name]
	s.have[query] += add
	value := s.have[query]
	if name == "value" {
		value = s.bad[revision]
	}
	_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"r":%q},"value":[%s,"%v"]}]}}`, revision, r.FormValue("time"), value)
}

func (s *source) does(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// measuring runs 1.0.0 in dev, and has what comes next judged by a source.
func measuring(t *testing.T, s *source, objectives ...towpath.Objective) *harness {
	t.Helper()
	dir := t.TempDir()
	must(t, 0, os.WriteFile(filepath.Join(dir, "token"), []byte("shh\n"), 0o600))
	sources := fmt.Sprintf(`[{"project":"other","url":"http://127.0.0.1:1"},{"project":"shop","place":"local","url":%q,"tokenFile":"token","username":"ana","headers":{"X-Scope-OrgID":"tenant"}}]`, s.url)
	must(t, 0, os.WriteFile(filepath.Join(dir, "sources.json"), []byte(sources), 0o600))
	h := startHarness(t, Config{Data: folder(t), MetricsSources: filepath.Join(dir, "sources.json")}, gittest.New(t))
	h.introduce()
	newCanary(t, h)
	h.objectives = objectives
	return h
}

func ratio() towpath.Objective {
	return towpath.Objective{
		Name: "orders", Kind: towpath.ObjectiveRatio, Bad: `bad{r="{{revision}}"}`, Total: `total{r="{{revision}}"}`,
		Target: 0.99, Critical: true,
	}
}

// judgement waits until the rollout in dev is judged as f wants. It goes on
// counting: an interval ends with a measurement.
func (c *counter) judgement(what string, f func(towpath.Judgement) bool) {
	c.h.t.Helper()
	seen := 0
	c.h.until(what, func() bool {
		d := c.h.status("dev").Deployment
		if d == nil {
			return false
		}
		if n := len(c.h.measurements(d.ID)); n > seen {
			seen = n
			c.seconds(1, 0)
		}
		j := d.Components[0].Canary.Judgement
		return j != nil && f(*j)
	})
}

func (h *harness) measurements(id towpath.DeploymentID) (out []towpath.Measurement) {
	h.t.Helper()
	err := h.s.store.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = tx.Measurements(ctx, id, "api")
		return err
	})
	must(h.t, 0, err)
	return out
}

func TestServer_JudgesByQueries(t *testing.T) {
	s := newSource(t)
	h := measuring(t, s, ratio())
	bad := h.publish("1.1.0", "two")
	c := h.counting()
	r := h.status("dev").Deployment.Components[0]
	s.does(func() { s.bad[string(r.To)] = 10 })
	id := h.status("dev").Deployment.ID
	seen := 0
	h.until("it is rolled back and held", func() bool {
		if n := len(h.measurements(id)); n > seen {
			seen = n
			c.seconds(1, 0)
		}
		st := h.status("dev")
		return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of api is worse at 10 %: orders: Error rate 50 %")
	})
	if st := h.status("dev"); st.Version != "1.0.0" {
		t.Errorf("dev runs %s", st.Version)
	}
	list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
	must(t, 0, err)
	if d := list.Items[0]; d.Release != bad.Release || d.Phase != towpath.DeploymentRolledBack {
		t.Errorf("the last deployment is %+v", d)
	} else if all := h.measurements(id); d.Recovery == nil || d.Recovery.ToDetect() <= 0 || d.Recovery.Sign.After(all[len(all)-1].Recorded) {
		t.Errorf("what the router can't see was found out after no time: %+v", d.Recovery)
	}
	j, err := h.svc.Deploys.Analysis(t.Context(), h.ana, list.Items[0].ID, "api")
	must(t, 0, err)
	record, err := json.Marshal(j)
	must(t, 0, err)
	if again, same, err := analysis.Replay(record); err != nil || !same || again.Outcome != analysis.Worse {
		t.Errorf("replayed as %s, the same: %v, %v", again.Outcome, same, err)
	}
}

// TestServer_AsksByTheDeployment that brought each revision, however many repairs came
// after it.
func TestServer_AsksByTheDeployment(t *testing.T) {
	s, orders := newSource(t), ratio()
	orders.Bad, orders.Total = `bad{r="{{deployment}}"}`, `total{r="{{deployment}}"}`
	h := measuring(t, s, orders)
	before := h.deployed().ID
	h.repairedInVain()
	h.publish("1.1.0", "two")
	h.counting()
	now := h.status("dev").Deployment.ID
	h.until("it is asked about both", func() (both bool) {
		s.does(func() { both = s.questions[string(before)] > 0 && s.questions[string(now)] > 0 })
		return both
	})
}

// TestServer_ASourceThatErrsHolds: it is never a reason to go back, and never a
// pass; what it lacks is said, and it is asked again.
func TestServer_ASourceThatErrsHolds(t *testing.T) {
	s := newSource(t)
	s.broken = true
	h := measuring(t, s, ratio())
	h.rollout.Deadline = 2 * time.Second
	h.publish("1.1.0", "two")
	c := h.counting()
	c.judgement("there is no evidence, and why is said", func(j towpath.Judgement) bool {
		return j.Outcome == towpath.JudgedNoEvidence && strings.Contains(j.Sentence, "orders:") && strings.Contains(j.Sentence, "the metric source answers 503")
	})
	h.waits("10 % of the traffic and could not be judged within 2s: `towpath rollout resume --without-evidence` goes on all the same")
	s.does(func() { s.broken = false })
	c.judgement("it answers again", func(j towpath.Judgement) bool {
		return j.Outcome == towpath.JudgedUndecided || j.Outcome == towpath.JudgedNotWorse
	})
	c.judgement("goes on", func(j towpath.Judgement) bool { return h.status("dev").Deployment.Components[0].Weight() == 50 })
}

// TestServer_TakesSamples: where samples are from is said by the server; an agent
// speaks for its own place only, and nobody for another component.
func TestServer_TakesSamples(t *testing.T) {
	h := newHarness(t)
	h.until("the agent has a session", func() bool {
		return h.s.agents.Sample(t.Context(), h.ana, agentrpc.SampleRequest{Session: "session-1"}) == nil
	})
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	target := func(place towpath.PlaceName) towpath.Target {
		return towpath.Target{Project: shop, Environment: "dev", Component: "api", Place: place, Slot: towpath.SlotMain}
	}
	series := func(labels ...string) towpath.MetricSample {
		s := towpath.MetricSample{Labels: map[string]string{}, Value: 1}
		for i := 0; i < len(labels); i += 2 {
			s.Labels[labels[i]] = labels[i+1]
		}
		return s
	}
	must(t, 0, h.s.agents.Sample(t.Context(), h.ana, agentrpc.SampleRequest{Session: "session-1", Sets: []towpath.SampleSet{
		{Target: target("local"), Series: []towpath.MetricSample{
			series("__name__", "a", "revision", "rev_1", "component", "web", "environment", "prod"),
			series("__name__", "a", "much", strings.Repeat("x", 600)),
			series("nameless", "a"),
		}},
		{Target: target("elsewhere"), Series: []towpath.MetricSample{series("__name__", "a")}},
	}}))
	_, err := h.s.agents.deploys.Hello(t.Context(), h.ana, deploy.Greeting{Place: "elsewhere", Agent: "host-2", Session: "session-2"})
	must(t, 0, err)
	must(t, 0, h.s.agents.Sample(t.Context(), h.ana, agentrpc.SampleRequest{Session: "session-2", Sets: []towpath.SampleSet{
		{Target: target("elsewhere"), Series: []towpath.MetricSample{series("__name__", "a")}}, // which runs in another place
	}}))
	got := answered(t)(h.s.metrics.Query(t.Context(), "a", time.Now()))
	want := []towpath.MetricSample{{Value: 1, Labels: map[string]string{
		"__name__": "a", "revision": "rev_1", "project": "shop", "environment": "dev", "component": "api", "place": "local",
		"exported_component": "web", "exported_environment": "prod",
	}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	err = h.s.agents.Sample(t.Context(), h.ana, agentrpc.SampleRequest{Session: "another", Sets: []towpath.SampleSet{{Target: target("local")}}})
	if towpath.KindOf(err) != towpath.KindLocked {
		t.Errorf("a session that was replaced: %v", err)
	}
	if err := h.s.agents.Sample(t.Context(), towpath.Actor{Account: "eve"}, agentrpc.SampleRequest{Session: "session-1"}); towpath.KindOf(err) != towpath.KindForbidden {
		t.Errorf("who is no agent: %v", err)
	}
}

func answered(t *testing.T) func([]towpath.MetricSample, error) []towpath.MetricSample {
	return func(v []towpath.MetricSample, err error) []towpath.MetricSample {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestServer_ObjectivesAskOfTheirOwn: what is pushed of another environment of the
// same revision, or by its agent in the name of that revision, is not what a
// canary is judged by.
func TestServer_ObjectivesAskOfTheirOwn(t *testing.T) {
	h := newHarness(t)
	newCanary(t, h)
	h.objectives = []towpath.Objective{{
		Name: "orders", Kind: towpath.ObjectiveRatio, Bad: `sum(orders_bad_total{revision="{{revision}}"})`, Total: `sum(orders_total{revision="{{revision}}"})`,
		Target: 0.99, Critical: true,
	}, {Name: "theirs", Kind: towpath.ObjectiveThreshold, Query: `sum(orders_total{environment="staging",revision="{{revision}}"})`, Below: new(1e9), Target: 0.9}}
	h.publish("1.1.0", "two")
	c := h.counting()
	push := func(e string, bad, total float64) { // as the server keeps what agents of any place push
		var all []towpath.MetricSample
		for _, r := range []towpath.RevisionID{c.old.Revision, c.new.Revision} {
			for name, value := range map[string]float64{"orders_bad_total": bad, "orders_total": total} {
				all = append(all, towpath.MetricSample{Value: value, Labels: map[string]string{
					"__name__": name, "revision": string(r), "project": "shop", "environment": e, "component": "api", "place": "local",
				}})
			}
		}
		if left, err := h.s.samples.Append(t.Context(), all); err != nil || left > 0 {
			t.Fatalf("%d were left out: %v", left, err)
		}
	}
	id := h.status("dev").Deployment.ID
	var orders *towpath.ObjectiveReading
	h.until("the metrics of dev are asked for", func() bool {
		push("dev", 1, 20)
		push("staging", 500, 1000)
		for _, m := range h.measurements(id) {
			for _, r := range m.Readings {
				if r.Objective == "theirs" && (r.Errored != "" || len(r.Canary[towpath.QueryValues])+len(r.Baseline[towpath.QueryValues]) > 0) {
					t.Fatalf("what staging sold is answered: %+v", r)
				}
				if r.Objective == "orders" && len(r.Canary[towpath.QueryTotal]) > 0 && len(r.Baseline[towpath.QueryTotal]) > 0 {
					orders = &r
				}
			}
		}
		return orders != nil
	})
	for _, answers := range []map[string][]towpath.MetricValue{orders.Canary, orders.Baseline} {
		if bad, total := answers[towpath.QueryBad], answers[towpath.QueryTotal]; len(bad) != 1 || bad[0].Value != 1 || len(total) != 1 || total[0].Value != 20 {
			t.Errorf("it was told %+v", answers)
		}
	}
}
