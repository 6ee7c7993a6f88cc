package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// newCanary runs 1.0.0 in dev, and has what comes next move by steps.
func newCanary(t *testing.T, h *harness) {
	t.Helper()
	h.staging = towpath.PromotionManual
	h.rollout = &towpath.RolloutSpec{
		Strategy: towpath.StrategyCanary, Timeout: time.Minute, Interval: time.Second, Deadline: time.Hour,
		Steps: []towpath.RolloutStep{{Weight: 10}, {Weight: 50}},
	}
	h.objectives = []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99, Critical: true, Window: time.Hour}}
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
}

func TestServer_Canary(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newCanary(t, h)
		h.publish("1.1.0", "two")
		h.waits("10 % of the traffic and is not judged yet. Nothing has been counted yet")
		c := h.counting()
		c.seconds(1, 0)
		h.until("20 requests are not the 50 that it takes", func() bool {
			j := h.status("dev").Deployment.Components[0].Canary.Judgement
			return j != nil && j.Outcome == towpath.JudgedNoEvidence && j.Intervals == 1
		})
		c.seconds(9, 0)
		c.runs("1.1.0")
		var weights []int
		for _, op := range h.done() {
			if op.Verb == towpath.VerbShift {
				weights = append(weights, op.Spec.Weight)
			}
		}
		if len(weights) != 2 || weights[0] != 10 || weights[1] != 50 {
			t.Errorf("the traffic was shared at %v", weights)
		}

		t.Run("goes back when it is worse, and holds", func(t *testing.T) {
			bad := h.publish("1.2.0", "three")
			h.counting().seconds(2, 10)
			h.until("it is rolled back and held", func() bool {
				st := h.status("dev")
				return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of api is worse at 10 %: errors:")
			})
			if st := h.status("dev"); st.Version != "1.1.0" {
				t.Errorf("dev runs %s", st.Version)
			}
			list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
			must(t, 0, err)
			if d := list.Items[0]; d.Release != bad.Release || d.Phase != towpath.DeploymentRolledBack {
				t.Errorf("the last deployment is %+v", d)
			}
			if r := list.Items[0].Recovery; r == nil || r.Sign.IsZero() || r.ToDetect() < 0 || r.ToDetect() > time.Minute || r.ToRestore() < 0 || r.Restored.IsZero() {
				t.Errorf("its recovery is %+v", r)
			}
			if ev := h.events("deployment.rolled-back"); len(ev) == 0 || !strings.Contains(string(ev[len(ev)-1].Event.Data), "restoreSeconds") || !strings.Contains(ev[len(ev)-1].Event.Reason, "after the first sign, and back") {
				t.Errorf("recorded as %+v", ev)
			}
			t.Run("and can be judged again", func(t *testing.T) {
				j, err := h.svc.Deploys.Analysis(t.Context(), h.ana, list.Items[0].ID, "api")
				must(t, 0, err)
				record, err := json.Marshal(j)
				must(t, 0, err)
				again, same, err := analysis.Replay(record)
				if err != nil || !same || again.Outcome != analysis.Worse {
					t.Errorf("replayed as %s, the same: %v, %v", again.Outcome, same, err)
				}
			})
			must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
		})
		t.Run("goes back when an instance breaks", func(t *testing.T) {
			h.publish("1.3.0", "four")
			c := h.counting()
			c.new.Broken = "instance 0 exited with status 1"
			c.tell()
			h.until("it is rolled back", func() bool {
				st := h.status("dev")
				return st.Hold != nil && strings.Contains(st.Hold.Reason, "instance 0 exited with status 1")
			})
			must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
		})
	})
}

// TestServer_CanaryOfAPast: where the agent tells how the old revision did before,
// one interval says what it takes two without.
func TestServer_CanaryOfAPast(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newCanary(t, h)
		h.publish("1.1.0", "two")
		c := h.countingOf("api")
		c.alone(60)
		c.tell()
		err := h.s.agents.deploys.Count(t.Context(), h.ana, "session-1", []towpath.TrafficCount{c.count(), c.count()})
		if towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), "counted twice") {
			t.Errorf("two counts of one target: %v", err)
		}
		if err = h.s.agents.deploys.Count(t.Context(), h.ana, "session-1", make([]towpath.TrafficCount, 5001)); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("5001 counts: %v", err)
		}
		c.past = c.past[:10] // told again it changes nothing
		for i := range c.past {
			c.past[i].At = c.past[i].At.Add(500 * time.Millisecond)
		}
		c.seconds(1, 10)
		h.until("it is rolled back and held", func() bool {
			st := h.status("dev")
			return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "beside 0 % of 180, and 0 % of 10,800 before")
		})
		list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
		must(t, 0, err)
		if j := list.Items[0].Components[0].Canary.Judgement; j == nil || j.Intervals != 1 {
			t.Errorf("judged as %+v", j)
		}
		a, err := h.svc.Deploys.Analysis(t.Context(), h.ana, list.Items[0].ID, "api")
		must(t, 0, err)
		if n := len(a.Input.Intervals); n != 61 || a.Outcome != analysis.Worse {
			t.Errorf("of %d intervals: %s", n, a.Sentence)
		}
	})
}

func (h *harness) done() []towpath.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]towpath.Operation(nil), h.ops...)
}

func (h *harness) steer(action deploy.Steering, of ...towpath.ComponentName) error {
	r := deploy.SteerRequest{Project: shop, Environment: "dev", Action: action, Reason: "a test"}
	if len(of) > 0 {
		r.Component = of[0]
	}
	_, err := h.svc.Deploys.Steer(context.Background(), h.ana, r)
	return err
}

// Two components whose canaries move beside each other: each is judged by what
// was counted of it, at half of the risk, and both go back when one is worse.
func TestServer_CanariesBesideEachOther(t *testing.T) {
	h := newHarness(t)
	h.search, h.concurrent = true, 2
	newCanary(t, h)
	h.publish("1.1.0", "two")
	api, search := h.countingOf("api"), h.countingOf("search")
	api.tell()
	search.tell()
	h.waits("api has 10 % of the traffic and is not judged yet. Nothing has been counted yet.; search has 10 % of the traffic")
	if err := h.steer(deploy.SteerSkip); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "api and search stand at a step each") {
		t.Errorf("got %v", err)
	}
	if err := h.steer(deploy.SteerSkip, "web"); towpath.KindOf(err) != towpath.KindNotFound {
		t.Errorf("got %v", err)
	}
	must(t, 0, h.steer(deploy.SteerSkip, "search"))
	h.waits("search has 50 % of the traffic")
	api.seconds(9, 0)
	api.until("api has moved while search stands", func() bool {
		d := h.status("dev").Deployment
		_, moved := d.Components[0].Find(towpath.VerbVerifyAfter)
		return moved && d.Components[1].Weight() == 50
	})
	search.seconds(2, 10)
	h.until("both are rolled back", func() bool {
		st := h.status("dev")
		return st.Deployment == nil && st.Hold != nil && strings.Contains(st.Hold.Reason, "the new revision of search is worse at 50 %: errors:")
	})
	list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
	must(t, 0, err)
	for _, r := range list.Items[0].Components {
		if step, ok := r.Find(towpath.VerbRestore); !ok || step.Phase != towpath.OperationSucceeded {
			t.Errorf("%s did not go back: %+v", r.Component, r.Steps)
		}
		j, err := h.svc.Deploys.Analysis(t.Context(), h.ana, list.Items[0].ID, r.Component)
		must(t, 0, err)
		if j.Input.Alpha != analysis.Risk/2 {
			t.Errorf("%s is judged at a risk of %v", r.Component, j.Input.Alpha)
		}
	}
}

// A rollout that a person aborts goes back and is on hold, lest it come again by
// itself; nothing of it is the release's harm.
func TestServer_AbortsACanary(t *testing.T) {
	h := newHarness(t)
	newCanary(t, h)
	h.publish("1.1.0", "two")
	h.counting()
	must(t, 0, h.steer(deploy.SteerAbort))
	h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
	if st := h.status("dev"); st.Version != "1.0.0" || st.Hold == nil || st.Hold.Reason != "rolled back from 1.1.0: aborted by ana: a test" {
		t.Errorf("dev runs %s, held by %+v", st.Version, st.Hold)
	}
	list, err := h.svc.Deploys.List(t.Context(), h.ana, deploy.Filter{Project: shop, Environment: "dev"})
	must(t, 0, err)
	if d := list.Items[0]; d.Cause != "aborted by ana: a test" || d.Recovery != nil {
		t.Errorf("it went back for %q: %+v", d.Cause, d.Recovery)
	}
	if n := len(h.events("rollout.abort")); n != 1 {
		t.Errorf("%d are recorded", n)
	}
	if err := h.steer(deploy.SteerAbort); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("what is over was aborted: %v", err)
	}
}

func TestServer_CanaryWithoutEvidence(t *testing.T) {
	h := newHarness(t)
	newCanary(t, h)
	if err := h.steer(deploy.SteerPause); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("what is not there was paused: %v", err)
	}
	h.publish("1.1.0", "two")
	c := h.counting()
	_, err := h.s.agents.deploys.Hello(t.Context(), h.ana, deploy.Greeting{Place: "elsewhere", Agent: "host-2", Session: "session-2"})
	must(t, 0, err)
	must(t, 0, h.s.agents.deploys.Count(t.Context(), h.ana, "session-2", []towpath.TrafficCount{{
		Target: towpath.Target{Project: shop, Environment: "dev", Component: "api", Place: "elsewhere", Slot: towpath.SlotMain},
		At:     c.at, Bounds: []float64{0.1, 1}, Revisions: []towpath.RevisionCount{{Revision: c.new.Revision, Broken: "an agent of another place says so"}},
	}}))
	must(t, 0, h.steer(deploy.SteerPause))
	c.seconds(9, 0)
	h.waits("paused by ana: a test")
	for _, a := range []deploy.Steering{deploy.SteerPause, deploy.SteerSkip} { // somebody's reason is not passed over
		if err := h.steer(a); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "is paused by ana: a test") {
			t.Errorf("%s while it is paused: %v", a, err)
		}
	}
	if err := h.steer(deploy.SteerSkip + "!"); towpath.KindOf(err) != towpath.KindInvalid {
		t.Errorf("got %v", err)
	}
	h.until("what was counted grows old", func() bool {
		d := h.status("dev").Deployment
		j := d.Components[0].Canary.Judgement
		return j != nil && j.Outcome == towpath.JudgedNoEvidence && strings.Contains(j.Sentence, "Nothing has been counted for")
	})
	must(t, 0, h.steer(deploy.SteerResume))
	h.waits("is not judged yet. Nothing has been counted for")
	if err := h.steer(deploy.SteerResume); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("a step that asks nobody was ended: %v", err)
	}
	must(t, 0, h.steer(deploy.SteerSkip))
	h.waits("50 % of the traffic")
	must(t, 0, h.steer(deploy.SteerSkip))
	h.runs("dev", "1.1.0")
	if n := len(h.events("rollout.skip")); n != 2 {
		t.Errorf("%d skips are recorded", n)
	}
	next, err := h.svc.Promotions.Preview(t.Context(), h.ana, promote.Request{Project: shop, Release: "1.1.0", Environment: "staging"})
	must(t, 0, err)
	i := slices.IndexFunc(next.Verdicts, func(v towpath.Verdict) bool { return v.Gate == towpath.GateUpstream })
	if said := strings.Join(next.Verdicts[i].Reasons, " "); !strings.Contains(said, "There was no evidence of errors of api there: “Nothing has been counted for") || !strings.Contains(said, "ana let it pass all the same.") {
		t.Errorf("on the way upstream it says: %s", said)
	}
	dark := func(u []towpath.Unseen) bool {
		return len(u) > 0 && u[0].Objective == "errors" && u[0].Component == "api" && u[0].By == "ana"
	}
	if st := h.status("dev"); !dark(st.Unseen) {
		t.Errorf("the status says %+v", st.Unseen)
	}
	r, err := h.svc.Releases.Get(t.Context(), h.ana, shop, "1.1.0")
	if must(t, 0, err); len(r.Runs) != 1 || r.Runs[0].Environment != "dev" || !r.Runs[0].Verified || !dark(r.Runs[0].Unseen) {
		t.Errorf("the release says %+v", r.Runs)
	}
	blinkered := towpath.Actor{Account: "bob", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleApprover, Project: shop, Environment: "staging"}}}
	if r, err = h.svc.Releases.Get(t.Context(), blinkered, shop, "1.1.0"); err != nil || len(r.Runs) > 0 {
		t.Errorf("who may not see what runs is told %+v, %v", r.Runs, err)
	}
}

// TestServer_SaysWhatARollbackGoesBackFrom: in the middle of a rollout both revisions
// run, and the one that goes is the new one.
func TestServer_SaysWhatARollbackGoesBackFrom(t *testing.T) {
	h := newHarness(t)
	newCanary(t, h)
	h.publish("1.1.0", "two")
	h.waits("api has 10 % of the traffic")
	r := h.status("dev").Deployment.Components[0]
	got, err := h.svc.Deploys.Rollback(t.Context(), h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", DryRun: true})
	must(t, 0, err)
	if got.FromVersion != "1.1.0" || got.ToVersion != "1.0.0" || len(got.Components) != 1 {
		t.Fatalf("%+v", got)
	}
	want := []towpath.Change{{Path: "greeting", Before: "two in dev", After: "one in dev"}}
	if c := got.Components[0]; c.From != r.To || c.To != r.From || c.Action != towpath.ActionReplace || !slices.Equal(c.Changes, want) {
		t.Errorf("it says %+v of %s", c, r.To)
	}
}
