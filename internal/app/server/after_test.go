package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// newBlueGreen runs 1.0.0 in dev, and has what comes next judged once it has all of
// the traffic.
func newBlueGreen(t *testing.T, h *harness) {
	t.Helper()
	h.staging = towpath.PromotionManual
	h.rollout = &towpath.RolloutSpec{
		Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute, Interval: time.Second, Deadline: time.Hour, For: time.Millisecond,
	}
	h.objectives = []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99, Critical: true}}
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
}

// took has the new revision of a count take all of the traffic.
func (c *counter) took() {
	c.old.Weight, c.new.Weight = 0, 1 // as the router says of one alone
}

// TestServer_AfterTheSwitch: what has all of the traffic is judged by what it has to
// keep to, and goes back to what still runs.
func TestServer_AfterTheSwitch(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newBlueGreen(t, h)
		h.publish("1.1.0", "two")
		h.waits("api has all of the traffic, and the revision before it still runs and is not judged yet. Nothing has been counted yet")
		if st := h.status("dev"); st.Version != "1.0.0" {
			t.Errorf("dev runs %s before that is judged", st.Version)
		}
		c := h.countingOf("api")
		c.alone(60)
		c.took()
		c.tell()
		for range 10 {
			c.new.Requests += 200
			c.tell()
		}
		h.runs("dev", "1.1.0")

		bad := h.publish("1.2.0", "three")
		h.waits("Nothing has been counted yet")
		c = h.countingOf("api")
		c.alone(60)
		c.took()
		c.tell()
		for range 6 {
			c.new.Requests, c.new.Failed = c.new.Requests+200, c.new.Failed+100
			c.tell()
		}
		h.until("it is rolled back and held", func() bool {
			st := h.status("dev")
			return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of api is worse since it has all of the traffic: errors:")
		})
		if st := h.status("dev"); st.Version != "1.1.0" {
			t.Errorf("dev runs %s", st.Version)
		}
		list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
		must(t, 0, err)
		d := list.Items[0]
		if d.Release != bad.Release || d.Phase != towpath.DeploymentRolledBack || d.Recovery == nil || d.Recovery.Restored.IsZero() || d.Recovery.ToDetect() < 0 {
			t.Errorf("the last deployment is %+v, %+v", d, d.Recovery)
		}
		j, err := h.svc.Deploys.Analysis(t.Context(), h.ana, d.ID, "api")
		must(t, 0, err)
		record, err := json.Marshal(j)
		must(t, 0, err)
		again, same, err := analysis.Replay(record)
		if err != nil || !same || again.Outcome != analysis.Worse || !strings.Contains(again.Sentence, ", and 0 % of 10,620 before") {
			t.Errorf("replayed as %s, the same: %v, %v: %s", again.Outcome, same, err, again.Sentence)
		}
	})
}

// asked runs 1.0.0 in dev, and has what comes next judged by a source once it has
// all of the traffic.
func asked(t *testing.T, s *source, objectives ...towpath.Objective) *harness {
	t.Helper()
	h := measuring(t, s, objectives...)
	h.rollout = &towpath.RolloutSpec{
		Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute, Interval: time.Second, Deadline: 2 * time.Second, For: time.Millisecond,
	}
	return h
}

// switched counts what has all of the traffic, once it has that.
func (h *harness) switched() *counter {
	h.t.Helper()
	c := h.countingOf("api")
	h.waits("api has all of the traffic, and the revision before it") // before that nothing is counted
	c.took()
	c.tell()
	return c
}

// answers counts good requests, an interval for each measurement, until something
// is so.
func (c *counter) answers(what string, f func() bool) {
	c.h.t.Helper()
	id, seen := c.h.status("dev").Deployment.ID, 0
	c.h.until(what, func() bool {
		if n := len(c.h.measurements(id)); n > seen {
			seen = n
			c.new.Requests += 20
			c.tell()
		}
		return f()
	})
}

// TestServer_AfterTheSwitchByQueries: what has all of the traffic, and answers all
// of it with 200, is judged by what a metric source says of it.
func TestServer_AfterTheSwitchByQueries(t *testing.T) {
	s := newSource(t)
	h := asked(t, s, ratio())
	h.publish("1.1.0", "two")
	c := h.switched()
	c.answers("a good one gets through", func() bool { return h.status("dev").Version == "1.1.0" })

	h.runs("dev", "1.1.0") // to the end: only then is what is counted of the next one
	h.publish("1.2.0", "three")
	c = h.switched()
	d := h.status("dev").Deployment
	r := d.Components[0]
	before := 0
	s.does(func() { s.bad[string(r.To)], before = 10, s.questions[string(r.From)] })
	c.answers("a bad one is rolled back and held", func() bool {
		st := h.status("dev")
		return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of api is worse since it has all of the traffic: orders: Error rate")
	})
	s.does(func() {
		if n := s.questions[string(r.From)]; n > before+2 {
			t.Errorf("it was asked %d times of the old revision after the switch", n-before)
		}
	})
	if st := h.status("dev"); st.Version != "1.1.0" {
		t.Errorf("dev runs %s", st.Version)
	}
	j, err := h.svc.Deploys.Analysis(t.Context(), h.ana, d.ID, "api")
	must(t, 0, err)
	record, err := json.Marshal(j)
	must(t, 0, err)
	again, same, err := analysis.Replay(record)
	if err != nil || !same || again.Outcome != analysis.Worse {
		t.Errorf("replayed as %s, the same: %v, %v: %s", again.Outcome, same, err, again.Sentence)
	}
	if got, err := h.svc.Deploys.Get(t.Context(), h.ana, d.ID); err != nil || got.Recovery == nil || got.Recovery.ToDetect() <= 0 {
		t.Errorf("what the router can't see was found out after no time: %+v, %v", got.Recovery, err)
	}
}

// TestServer_AfterTheSwitchASourceErrs: nothing goes back for that, and nothing is
// over. A threshold that holds for all revisions is blamed on the one that has all
// of the traffic: what looks bad asks a person.
func TestServer_AfterTheSwitchASourceErrs(t *testing.T) {
	s := newSource(t)
	most := 0.5
	load := towpath.Objective{Name: "load", Kind: towpath.ObjectiveThreshold, Query: `value{r="all"}`, Below: &most, Target: 0.9, Critical: true}
	h := asked(t, s, ratio(), load)
	h.publish("1.1.0", "two")
	c := h.switched()
	s.does(func() { s.broken = true })
	c.answers("what it lacks is said", func() bool {
		d := h.status("dev").Deployment
		return d != nil && strings.Contains(d.Waiting, "could not be judged within 2s: `towpath rollout resume --without-evidence` goes on all the same") &&
			strings.Contains(d.Waiting, "the metric source answers 503")
	})
	if st := h.status("dev"); st.Version != "1.0.0" || st.Hold != nil {
		t.Errorf("dev runs %s, held: %+v", st.Version, st.Hold)
	}
	s.does(func() { s.broken = false })
	c.answers("it goes on when the source answers", func() bool { return h.status("dev").Version == "1.1.0" })

	h.runs("dev", "1.1.0") // to the end: only then is what is counted of the next one
	h.publish("1.2.0", "three")
	c = h.switched()
	s.does(func() { s.bad["all"] = 1 })
	c.answers("what is out of bounds is seen", func() bool {
		d := h.status("dev").Deployment
		return d != nil && d.Components[0].Canary.Judgement != nil && d.Components[0].Canary.Judgement.Suspect && strings.Contains(d.Waiting, "load:")
	})
	if st := h.status("dev"); st.Version != "1.1.0" || st.Hold != nil {
		t.Errorf("dev runs %s, held: %+v", st.Version, st.Hold)
	}
}

// TestServer_AfterStoppingFirst: what could not run beside the old revision is judged
// likewise. The requests that nobody answered meanwhile excuse nothing.
func TestServer_AfterStoppingFirst(t *testing.T) {
	h := newHarness(t)
	newBlueGreen(t, h)
	h.rollout.Strategy = towpath.StrategyAllAtOnce
	h.publish("1.1.0", "two")
	h.waits("api has all of the traffic, and the revision before it can be started again and is not judged yet")
	c := h.countingOf("api")
	c.alone(60)
	c.new.Weight = 0
	c.tell()
	c.old.Requests, c.old.Failed = c.old.Requests+900, c.old.Failed+900 // it has ended
	c.tell()
	c.took()
	c.tell()
	for range 12 {
		c.new.Requests, c.new.Failed = c.new.Requests+200, c.new.Failed+20
		c.tell()
	}
	h.until("it is rolled back and held", func() bool {
		st := h.status("dev")
		return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of api is worse since it has all of the traffic: errors:")
	})
	if st := h.status("dev"); st.Version != "1.0.0" {
		t.Errorf("dev runs %s", st.Version)
	}
}
