package server

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// newExperiment runs 1.0.0 in dev, and has 1.1.0 wait for somebody to want it.
func newExperiment(t *testing.T, h *harness) {
	t.Helper()
	h.staging, h.dev = cmp.Or(h.staging, towpath.PromotionManual), towpath.PromotionManual
	h.objectives = []towpath.Objective{
		{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.9, Critical: true},
		{Name: "speed", Kind: towpath.ObjectiveLatency, Target: 0.9, Bound: 100 * time.Millisecond},
	}
	h.publish("1.0.0", "one")
	_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.0.0"})
	must(t, 0, err)
	h.runs("dev", "1.0.0")
	h.publish("1.1.0", "two")
}

// starts asks for an experiment with a release in dev.
func (h *harness) starts(version string, e towpath.Experiment) error {
	h.t.Helper()
	_, err := h.svc.Promotions.Request(h.t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: version, Experiment: &e})
	return err
}

// experiment is the last one in dev.
func (h *harness) experiment() deploy.Experiment {
	h.t.Helper()
	l, err := h.svc.Deploys.Experiments(h.t.Context(), h.ana, shop, "dev", 1)
	must(h.t, 0, err)
	if len(l.Items) == 0 {
		return deploy.Experiment{}
	}
	return l.Items[0]
}

// quick counts n times ten seconds in which the new one is quicker, and as many
// of both fail.
func (c *counter) quick(n int) {
	c.h.t.Helper()
	add := func(b []uint64, fast, slow uint64) []uint64 {
		if len(b) == 0 {
			b = make([]uint64, 3)
		}
		return []uint64{b[0] + fast, b[1] + slow, 0}
	}
	for i := range uint64(n) {
		c.at = c.at.Add(9 * time.Second)
		c.old.Requests, c.new.Requests = c.old.Requests+180, c.new.Requests+20
		c.old.Failed += 2 + i%3
		if i%3 == 0 {
			c.new.Failed++
		}
		c.old.Buckets = add(c.old.Buckets, 135-i%5, 45+i%5)
		c.new.Buckets = add(c.new.Buckets, 19-i%2, 1+i%2)
		c.tell()
	}
}

func TestServer_Experiment(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newExperiment(t, h)
		must(t, 0, h.starts("1.1.0", towpath.Experiment{
			Share: 10, For: 10 * time.Minute, Sticky: &towpath.TrafficSticky{Cookie: "variant"},
			Match: []towpath.TrafficMatch{{Header: "X-Beta", Exact: "1"}},
		}))
		h.waits("10 % of the traffic for another")
		c := h.counting()
		c.quick(40)
		h.until("the report has 40 intervals", func() bool { return h.experiment().Report.Seen == 400*time.Second })

		x := h.experiment()
		got := map[string]experiment.Outcome{}
		for _, f := range x.Report.Findings {
			got[f.Metric] = f.Outcome
		}
		if got["errors"] != experiment.NoDifference || got["speed"] != experiment.NewBetter || !x.Report.Settled() || x.Report.Over {
			t.Errorf("reported %+v", x.Report)
		}
		if len(x.Report.Caveats) != 3 {
			t.Errorf("it has the caveats %q", x.Report.Caveats)
		}
		i := slices.IndexFunc(h.done(), func(op towpath.Operation) bool { return op.Verb == towpath.VerbShift })
		if spec := h.done()[i].Spec; spec.Weight != 10 || spec.Experiment == nil || spec.Experiment.Sticky.Cookie != "variant" || len(spec.Experiment.Match) != 1 {
			t.Errorf("the traffic was shared by %+v", spec)
		}

		t.Run("takes as long as it was to", func(t *testing.T) {
			for _, a := range []deploy.Steering{deploy.SteerPause, deploy.SteerSkip, deploy.SteerResume} {
				if err := h.steer(a); towpath.KindOf(err) != towpath.KindConflict {
					t.Errorf("%s: %v", a, err)
				}
			}
		})
		t.Run("is the only one", func(t *testing.T) {
			if err := h.starts("1.1.0", towpath.Experiment{Share: 10, For: time.Hour}); towpath.KindOf(err) != towpath.KindConflict {
				t.Errorf("a second one began: %v", err)
			}
		})
		t.Run("ends when its release is promoted, which goes by the ordinary way", func(t *testing.T) {
			_, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev")
			must(t, 0, err)
			p, err := h.svc.Promotions.PromoteExperiment(t.Context(), h.ana, shop, "dev", x.Deployment)
			must(t, p, err)
			for h.status("dev").Version != "1.1.0" { // at whatever moment, until it is there
				again, err := h.svc.Promotions.PromoteExperiment(t.Context(), h.ana, shop, "dev", x.Deployment)
				if err == nil && again.ID != p.ID || err != nil && !strings.Contains(err.Error(), "dev runs 1.1.0 already") {
					t.Fatalf("asked again: %+v, %v", again, err)
				}
				if _, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev"); err != nil {
					t.Fatalf("meanwhile: %v", err)
				}
			}
			h.runs("dev", "1.1.0")
			st := h.status("dev")
			if st.Hold != nil {
				t.Errorf("dev is on hold: %+v", st.Hold)
			}
			rec, err := h.svc.Deploys.ExperimentOf(t.Context(), h.ana, x.Deployment)
			must(t, 0, err)
			if rec.Phase != towpath.DeploymentConcluded || !strings.Contains(rec.Reason, "its release is promoted") {
				t.Errorf("it is %s: %s", rec.Phase, rec.Reason)
			}
			raw, err := json.Marshal(rec)
			must(t, 0, err)
			if _, same, err := experiment.Replay(raw); err != nil || !same {
				t.Errorf("replayed to the same: %v, %v", same, err)
			}
			l, err := h.svc.Promotions.List(t.Context(), h.ana, promote.Filter{Project: shop, Environment: "dev"})
			must(t, 0, err)
			if x := l.Items[1]; l.Items[0].ID != p.ID || x.Phase != towpath.PromotionConcluded || x.Experiment == nil {
				t.Errorf("the promotions are %+v", l.Items)
			}
		})
	})
}

func TestServer_ExperimentEnds(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	returned := func(phase towpath.DeploymentPhase) {
		t.Helper()
		h.until("what ran before has the traffic again", func() bool {
			open, err := h.svc.Promotions.List(t.Context(), h.ana, promote.Filter{Project: shop, Environment: "dev", Open: true})
			return err == nil && len(open.Items) == 0 && h.status("dev").Deployment == nil && h.experiment().Phase == phase
		})
		if st := h.status("dev"); st.Version != "1.0.0" {
			t.Errorf("dev runs %s", st.Version)
		}
	}
	t.Run("by a person, and nothing is on hold", func(t *testing.T) {
		must(t, 0, h.starts("1.1.0", towpath.Experiment{Share: 20, For: time.Hour, On: []string{"speed"}}))
		h.counting()
		p, err := h.svc.Promotions.StopExperiment(t.Context(), h.ana, shop, "dev", "enough")
		must(t, p, err)
		for range 2 { // it goes back, or has
			again, err := h.svc.Promotions.StopExperiment(t.Context(), h.ana, shop, "dev", "enough")
			if err == nil && again.ID != p.ID || err != nil && !strings.Contains(err.Error(), "there is no experiment in dev") {
				t.Errorf("stopped again: %+v, %v", again, err)
			}
		}
		returned(towpath.DeploymentConcluded)
		x := h.experiment()
		if h.status("dev").Hold != nil || len(x.Report.Findings) != 1 || x.Report.Findings[0].Outcome != experiment.NoEvidence {
			t.Errorf("it ended as %+v", x)
		}
		if _, err := h.svc.Deploys.Winner(t.Context(), h.ana, shop, "dev"); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("what was not found better won: %v", err)
		}
		if _, err := h.svc.Promotions.StopExperiment(t.Context(), h.ana, shop, "dev", ""); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("what is over was stopped: %v", err)
		}
	})
	t.Run("when its time is over", func(t *testing.T) {
		must(t, 0, h.starts("1.1.0", towpath.Experiment{Share: 20, For: 2 * time.Second}))
		h.counting()
		h.until("it is over", func() bool { return !h.experiment().Experiment.Ended.IsZero() })
		returned(towpath.DeploymentConcluded)
		if x := h.experiment(); !strings.HasPrefix(x.Reason, "the experiment is over after 2s") || h.status("dev").Hold != nil {
			t.Errorf("it ended as %+v", x)
		}
	})
	t.Run("when the new one is worse, and then there is a hold", func(t *testing.T) {
		must(t, 0, h.starts("1.1.0", towpath.Experiment{Share: 20, For: time.Hour, On: []string{"speed"}}))
		c := h.counting()
		for range 3 {
			c.at = c.at.Add(9 * time.Second)
			c.seconds(1, 15)
		}
		returned(towpath.DeploymentRolledBack)
		if st := h.status("dev"); st.Hold == nil || !strings.Contains(st.Hold.Reason, "worse at 20 %: errors:") {
			t.Errorf("dev is %+v", st.Hold)
		}
	})
}

// TestServer_ExperimentIsNoPromotion holds that the end of an experiment moves
// nothing on: not what comes next, nor that its release was verified there.
func TestServer_ExperimentIsNoPromotion(t *testing.T) {
	h := newHarness(t)
	h.staging = towpath.PromotionAutomatic
	newExperiment(t, h)
	h.runs("staging", "1.0.0")
	must(t, 0, h.starts("1.1.0", towpath.Experiment{Share: 20, For: 2 * time.Second}))
	h.counting()
	h.until("it is over", func() bool { return h.experiment().Phase == towpath.DeploymentConcluded })
	p, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "staging", Release: "1.1.0"})
	must(t, p, err)
	h.until("staging judges", func() bool {
		p, err = h.svc.Promotions.Get(t.Context(), h.ana, p.ID)
		return err == nil && len(p.Verdicts) > 0
	})
	i := slices.IndexFunc(p.Verdicts, func(v towpath.Verdict) bool { return v.Gate == towpath.GateUpstream })
	if i < 0 || p.Verdicts[i].Outcome == towpath.Allow {
		t.Errorf("staging says of what only shared traffic in dev: %+v", p.Verdicts)
	}
	all, err := h.svc.Promotions.List(t.Context(), h.ana, promote.Filter{Project: shop})
	must(t, 0, err)
	for _, x := range all.Items {
		if x.Mode == towpath.PromotionAutomatic && x.Version == "1.1.0" {
			t.Errorf("it went on by itself: %+v", x)
		}
	}
	if st := h.status("dev"); st.Version != "1.0.0" || st.Hold != nil {
		t.Errorf("dev runs %s, held by %+v", st.Version, st.Hold)
	}
}

// TestServer_ExperimentGuarded holds that an experiment is guarded by the
// objectives in force: a release can't leave out what it would be sent back by.
func TestServer_ExperimentGuarded(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	h.objectives = h.objectives[1:] // 1.2.0 does not say that errors are critical
	h.publish("1.2.0", "three")
	must(t, 0, h.starts("1.2.0", towpath.Experiment{Share: 20, For: time.Hour}))
	c := h.counting()
	for range 3 {
		c.at = c.at.Add(9 * time.Second)
		c.seconds(1, 15)
	}
	h.until("it goes back, with a hold", func() bool { return h.status("dev").Hold != nil && h.status("dev").Deployment == nil })
	if hold := h.status("dev").Hold; !strings.Contains(hold.Reason, "worse at 20 %: errors:") {
		t.Errorf("dev is held by %+v", hold)
	}
}

// TestServer_ExperimentOnItsWay holds that what will stay anyway is not compared,
// unless a hold stops that, and that what is stopped twice is stopped once.
func TestServer_ExperimentOnItsWay(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	_, err := h.svc.Promotions.Freeze(t.Context(), h.ana, promote.FreezeRequest{Project: shop, Environment: "dev", Reason: "launch"})
	must(t, 0, err)
	p, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.1.0"})
	must(t, p, err)
	e := towpath.Experiment{Share: 20, For: time.Hour}
	if err := h.starts("1.1.0", e); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "1.1.0 is on its way into dev already") {
		t.Errorf("it began: %v", err)
	}
	_, err = h.svc.Promotions.Cancel(t.Context(), h.ana, p.ID, "")
	must(t, 0, err)
	must(t, 0, h.starts("1.1.0", e))
	p, err = h.svc.Promotions.StopExperiment(t.Context(), h.ana, shop, "dev", "")
	must(t, p, err)
	if p.Phase != towpath.PromotionCancelled {
		t.Errorf("what had not begun is %s", p.Phase)
	}
}

func TestServer_ExperimentRefused(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	good := towpath.Experiment{Share: 20, For: time.Hour}
	for _, c := range []struct {
		name    string
		version string
		change  func(*towpath.Experiment)
		kind    towpath.Kind
		says    string
	}{
		{"no share", "1.1.0", func(e *towpath.Experiment) { e.Share = 0 }, towpath.KindInvalid, "may be 1 to 99"},
		{"no time", "1.1.0", func(e *towpath.Experiment) { e.For = 0 }, towpath.KindInvalid, "may take from 1s to 28 days"},
		{"an objective that is not there", "1.1.0", func(e *towpath.Experiment) { e.On = []string{"sped"} }, towpath.KindConflict, `has no objective "sped"`},
		{"what runs already", "1.0.0", func(*towpath.Experiment) {}, towpath.KindConflict, "runs 1.0.0 already"},
		{"a measure of both", "1.1.0", func(e *towpath.Experiment) {
			e.Measures = []towpath.Measure{{Name: "orders", Query: "sum(orders)", Better: "most"}}
		}, towpath.KindInvalid, "can't tell one from the other"},
		{"a query that is none", "1.1.0", func(e *towpath.Experiment) {
			e.Measures = []towpath.Measure{{Name: "orders", Better: "more", Query: `sum(orders_total{revision="{{revision}}"`}}
		}, towpath.KindInvalid, `the query of "orders" is none in PromQL: unexpected end of input inside braces`},
		{"a match of nothing", "1.1.0", func(e *towpath.Experiment) { e.Match = []towpath.TrafficMatch{{Regex: "("}} }, towpath.KindInvalid, "a header or at a cookie"},
		{"a match of a header that can't be", "1.1.0", func(e *towpath.Experiment) {
			e.Match = []towpath.TrafficMatch{{Header: "X Beta", Exact: "1"}, {Header: "host", Exact: "shop"}}
		}, towpath.KindInvalid, `"X Beta" is no name for a header; requests don't have Host`},
		{"clients that stay by a cookie that can't be", "1.1.0", func(e *towpath.Experiment) { e.Sticky = &towpath.TrafficSticky{Cookie: "a;b"} }, towpath.KindInvalid, `"a;b" is no name for a cookie`},
		{"negative prices", "1.1.0", func(e *towpath.Experiment) { e.Prices = &towpath.Prices{Request: -1} }, towpath.KindInvalid, "the price of a request is -1, and may be from 0 to 1000000000"},
		{"prices beyond what can be compared", "1.1.0", func(e *towpath.Experiment) {
			e.Prices = &towpath.Prices{Request: 1e308, Items: []towpath.Price{{Name: "cpu", Price: 1e9 + 1, Query: `cpu{revision="{{revision}}"}`}}}
		}, towpath.KindInvalid, `the price of a request is 1e+308, and may be from 0 to 1000000000; the price of "cpu" is 1.000000001e+09, and may be from 0 to 1000000000`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := good
			c.change(&e)
			if err := h.starts(c.version, e); towpath.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestServer_AlertsBehindAnExperiment: what stands is to blame for what began after an
// experiment was over, and nothing is for what began in it.
func TestServer_AlertsBehindAnExperiment(t *testing.T) {
	h := newHarness(t)
	newExperiment(t, h)
	_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.1.0"})
	must(t, 0, err)
	h.runs("dev", "1.1.0")
	h.publish("1.2.0", "three")
	must(t, 0, h.starts("1.2.0", towpath.Experiment{Share: 10, For: 10 * time.Minute}))
	h.waits("10 % of the traffic for another")
	meanwhile := time.Now()
	_, err = h.svc.Promotions.StopExperiment(t.Context(), h.ana, shop, "dev", "")
	must(t, 0, err)
	h.until("what ran before runs alone", func() bool {
		return h.experiment().Phase == towpath.DeploymentConcluded && h.status("dev").Deployment == nil
	})
	if r := h.alerts(fires("errors", meanwhile)); r.Ignored != 1 || !strings.Contains(r.Alerts[0].Reason, "is concluded") {
		t.Errorf("for what began in the experiment: %+v", r)
	}
	if r := h.alerts(fires("errors", time.Now())); r.Acted != 1 {
		t.Errorf("for what began after it: %+v", r)
	}
	h.runs("dev", "1.0.0")
}
