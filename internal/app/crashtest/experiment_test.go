package crashtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// A blow kills something at a moment of a canary or of an experiment.
type blow struct {
	name   string
	server string         // step that the server dies at; empty: none
	spare  bool           // another server goes on
	agent  string         // step that the agent dies at; empty: none
	half   func(w *world) // done half way through; nil: nothing
	end    func(w *world) // done when traffic goes back; nil: nothing
}

// TestServer_CrashOfAnExperiment kills the server or the agent as an experiment
// begins, half way through it and at its end. Whatever the moment: it goes on or
// concludes, nothing is on hold by it, no request is lost, what ran before has
// all of them again, its report is there, and no operation takes effect twice.
func TestServer_CrashOfAnExperiment(t *testing.T) {
	for _, engine := range []struct {
		name  string
		new   func(t *testing.T) string
		blows []blow
	}{
		{"on SQLite", func(*testing.T) string { return "" }, blows()},
		{"on PostgreSQL", func(t *testing.T) string { return pgtest.New(t) }, []blow{
			{name: "the server, half way and at the end", half: (*world).killServer, end: (*world).killServer},
		}},
	} {
		t.Run(engine.name, func(t *testing.T) {
			for _, b := range engine.blows {
				t.Run(b.name, func(t *testing.T) {
					t.Parallel()
					experimentStory(t, engine.new(t), b)
				})
			}
		})
	}
}

// blows are those that are dealt to every experiment, and a server that dies at
// the steps that it passes as often as a canary's does.
func blows() []blow {
	out := []blow{
		{name: "the server, half way and at the end", half: (*world).killServer, end: (*world).killServer},
		{name: "the agent, half way and at the end", half: (*world).killAgent, end: (*world).killAgent},
		{name: "both, half way", half: func(w *world) { w.killAgent(); w.killServer() }},
	}
	out = append(out, []blow{
		{name: "the agent, before it shares the traffic", agent: "run.before-shift:1"},
		{name: "the agent, when it has shared the traffic", agent: "run.after-shift:1"},
		{name: "the agent, before the traffic is back", agent: "run.before-switch:1"},
		{name: "the agent, when the traffic is back", agent: "run.after-switch:1"},
		{name: "the agent, before the new one stops", agent: "run.before-stop:1"},
	}...)
	for _, point := range []string{"deployment.stepped", "operation.claimed", "operation.finished", "store.after-commit"} {
		for n := 1; n <= 60; n++ {
			if canaryHits(point, n) {
				at := fmt.Sprintf("%s:%d", point, n)
				out = append(out, blow{name: "the server, at " + at, server: at})
			}
		}
	}
	return out
}

// experimentStory has 1.1.0 run beside 1.0.0 in dev for a few seconds.
func experimentStory(t *testing.T, database string, b blow) {
	t.Helper()
	w := newWorld(t, database)
	w.must(w.ana.Hold(t.Context(), shop, "dev", "experiments only"))
	if b.server != "" {
		w.stop()
		w.arm(b.server)
	}
	w.publishToCompare("1.1.0")
	if b.agent != "" {
		w.armAgent(b.agent)
	}
	lost := w.users()
	_, err := w.ana.StartExperiment(t.Context(), shop, "dev", api.StartExperiment{Release: "1.1.0", Experiment: towpath.Experiment{
		Share: 30, For: 6 * time.Second, Sticky: &towpath.TrafficSticky{Cookie: "variant"},
	}})
	w.must(err)
	w.resumed("experiment asked for")
	w.until("it is half way", func() bool { return w.experiment().Report.Seen >= 2*time.Second })
	if b.half != nil {
		b.half(w)
	}
	w.until("its time is over", func() bool { return !w.experiment().Experiment.Ended.IsZero() })
	if b.end != nil {
		b.end(w)
	}
	w.until("what ran before runs alone again", func() bool {
		st := w.status("dev")
		return w.experiment().Phase == towpath.DeploymentConcluded && st.Deployment == nil && st.Components[0].Running == st.Components[0].Revision
	})
	if n, asked := lost(); n > 0 || asked < 20 {
		t.Errorf("%d of %d requests were lost\n%s", n, asked, w.log)
	}
	if b.agent != "" && w.deaths.Load() == 0 {
		t.Errorf("the agent does not pass %s", b.agent)
	}
	w.concluded()
}

// killServer ends the server as kill -9 does, and starts another one.
func (w *world) killServer() {
	w.t.Helper()
	w.mu.Lock()
	p := w.server
	w.mu.Unlock()
	p.stopping.Store(true) // nobody else is to start one
	w.must(p.cmd.Process.Kill())
	<-p.ended
	w.killed.Store(time.Now().UnixMicro())
	w.kills.Add(1)
	next, err := w.serve("")
	w.must(err)
	w.front.leadTo(next.address())
	w.set(next)
}

// publishToCompare publishes a version that is compared every second.
func (w *world) publishToCompare(version string) {
	w.t.Helper()
	w.canary = &towpath.Canary{
		Spec:       towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute, Interval: time.Second},
		Objectives: []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.95, Critical: true}},
	}
	w.publish(version)
}

// experiment is the last one in dev.
func (w *world) experiment() deploy.Experiment {
	w.t.Helper()
	l, err := w.ana.Experiments(w.t.Context(), shop, "dev")
	w.must(err)
	if len(l.Items) == 0 {
		return deploy.Experiment{}
	}
	return l.Items[0]
}

// concluded checks what is left of an experiment that is over.
func (w *world) concluded() {
	w.t.Helper()
	st := w.status("dev")
	if st.Version != "1.0.0" || st.Hold == nil || st.Hold.Reason != "experiments only" {
		w.t.Errorf("dev runs %s, with the hold %+v", st.Version, st.Hold)
	}
	for range 20 {
		if got := kindtest.Get("http://" + st.Components[0].Address); got != "1.0.0 in dev" {
			w.t.Fatalf("%q answers when it is over\n%s", got, w.log)
		}
	}
	x, err := w.ana.Experiment(w.t.Context(), w.experiment().Deployment)
	w.must(err)
	if len(x.Evidence.Intervals) == 0 || len(x.Report.Findings) != 1 || x.Report.Findings[0].OverNew == 0 {
		w.t.Errorf("its report is %+v\n%s", x.Report, w.log)
	}
	for line, want := range map[string]int{"1.0.0 in dev": 1, "1.1.0 in dev": 1} {
		if n := kindtest.CountStarts(w.t, w.starts, line); n != want {
			w.t.Errorf("%s was started %d times, want %d\n%s", line, n, want, w.log)
		}
	}
	w.until("its promotion has ended, recorded", func() bool {
		open, err := w.ana.Promotions(w.t.Context(), shop, client.PromotionFilter{Open: true})
		w.must(err)
		r, err := w.ana.Verify(w.t.Context(), "")
		w.must(err)
		going := slices.ContainsFunc(open.Items, func(p towpath.Promotion) bool { return p.Experiment != nil })
		return !going && r.OK && r.Unsequenced == 0
	})
	w.recorded(map[string]int{"deployment.reverting": 1, "deployment.concluded": 1, "promotion.concluded": 1, "environment.held": 1})
}

// TestServer_CrashOfAPromotedExperiment kills the server when the release of an
// experiment that is under way was asked to be promoted, and nobody was told yet.
// The experiment ends, the release gets there once, and no request is lost;
// asking again changes nothing.
func TestServer_CrashOfAPromotedExperiment(t *testing.T) {
	for _, point := range []string{"promotion.requested:1", "api.before-answer:1"} {
		t.Run("at "+point, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.must(w.ana.Hold(t.Context(), shop, "dev", "experiments only"))
			w.publishToCompare("1.1.0")
			lost := w.users()
			_, err := w.ana.StartExperiment(t.Context(), shop, "dev", api.StartExperiment{Release: "1.1.0", Experiment: towpath.Experiment{
				Share: 20, For: time.Minute,
				// As many of both each second, whatever the requests: more of it per request
				// of the one that has fewer of them.
				Measures: []towpath.Measure{{Name: "orders", Better: "more", Query: `0 * count(towpath_router_requests_total{revision="{{revision}}"}) + time()`}},
			}})
			w.must(err)
			w.until("half of what it takes is seen", func() bool { return w.experiment().Report.Seen >= 10*time.Second })
			w.until("the new one is better", func() bool { return w.experiment().Report.Settled() })
			w.stop()
			w.arm(point)
			var p towpath.Promotion
			w.until("its promotion is asked for", func() bool { // the next interval may make it undecided for a while
				if p, err = w.ana.PromoteExperiment(t.Context(), shop, "dev"); err != nil && strings.Contains(err.Error(), "the report does not say") {
					return false
				}
				w.must(err)
				return true
			})
			if w.kills.Load() != 1 || p.Experiment != nil || p.Version != "1.1.0" {
				t.Errorf("killed %d times, and told of %+v", w.kills.Load(), p)
			}
			again, err := w.ana.PromoteExperiment(t.Context(), shop, "dev")
			if err == nil && again.ID != p.ID || err != nil && !strings.Contains(err.Error(), "dev runs 1.1.0 already") {
				t.Errorf("asked again: %s, %v", again.ID, err)
			}
			w.runs("dev", "1.1.0")
			if n, asked := lost(); n > 0 || asked < 100 {
				t.Errorf("%d of %d requests were lost\n%s", n, asked, w.log)
			}
			w.until("both promotions have ended, each once", func() bool {
				l, err := w.ana.Promotions(t.Context(), shop, client.PromotionFilter{Environment: "dev"})
				w.must(err)
				var phases []string
				for _, x := range l.Items {
					if x.Version == "1.1.0" {
						phases = append(phases, string(x.Phase))
					}
				}
				slices.Sort(phases)
				return slices.Equal(phases, []string{"concluded", "succeeded"})
			})
			if n := w.counted()["deployment.abort-requested"]; n != 1 {
				t.Errorf("the experiment was ended %d times", n)
			}
		})
	}
}
