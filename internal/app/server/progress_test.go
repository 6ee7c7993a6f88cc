package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// hasty is how a component is replaced that may make no progress for a second.
func hasty() *towpath.RolloutSpec {
	return &towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: time.Second, Progress: time.Second}
}

// TestServer_GoesBackWhenNoAgentAnswers: nobody has begun anything, so nobody is
// needed to go back either, and the environment is free again.
func TestServer_GoesBackWhenNoAgentAnswers(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.runs("staging", "1.0.0")
	h.gates = towpath.GateRules{Approvals: &towpath.ApprovalRule{Count: 1}}
	h.publish("1.1.0", "two") // its rules are in force from the next one on
	h.runs("dev", "1.1.0")
	h.rollout = hasty()
	h.publish("1.2.0", "three")
	p := h.promotion("dev", "1.2.0", towpath.PromotionWaiting)
	h.until("it is planned", func() bool { return h.promotion("dev", "1.2.0", towpath.PromotionWaiting).Plan != nil })
	h.away()
	_, err := h.svc.Promotions.Approve(t.Context(), h.ben, p.ID, true, "")
	must(t, 0, err)
	h.promotion("dev", "1.2.0", towpath.PromotionRolledBack)
	st := h.status("dev")
	const why = "api has made no progress for 1s: prepare is still pending, no agent has taken it up"
	if st.Version != "1.1.0" || st.Deployment != nil || st.Hold == nil || !strings.Contains(st.Hold.Reason, why) {
		t.Errorf("dev is %+v, held for %+v", st, st.Hold)
	}
	d := h.deployed()
	if d.Cause != why || d.Phase != towpath.DeploymentRolledBack || d.Recovery == nil || d.Recovery.ToDetect() < time.Second || !d.Recovery.Restored.Equal(d.Recovery.Detected) {
		t.Errorf("it went back as %s for %q: %+v", d.Phase, d.Cause, d.Recovery)
	}
	for _, r := range d.Components {
		for _, s := range r.Steps {
			if s.Phase != towpath.OperationCancelled {
				t.Errorf("%s is %s", s.Verb, s.Phase)
			}
		}
	}
	h.back()
	must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
	h.rollout = nil
	h.publish("1.3.0", "four")
	p = h.promotion("dev", "1.3.0", towpath.PromotionWaiting)
	_, err = h.svc.Promotions.Approve(t.Context(), h.ben, p.ID, true, "")
	must(t, 0, err)
	h.runs("dev", "1.3.0")
}

// TestServer_GoesBackFromWhatErrsForEver: the place's fault is tried again, but
// not for longer than there may be no progress.
func TestServer_GoesBackFromWhatErrsForEver(t *testing.T) {
	h := newHarness(t)
	one := h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbPrepare && op.Spec.Release != one.Release {
			return towpath.OperationResult{Status: towpath.ResultError, Message: "the disk is full"}
		}
		return towpath.OperationResult{}
	})
	h.rollout = hasty()
	h.publish("1.1.0", "two")
	h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
	st := h.status("dev")
	const why = "api has made no progress for 1s: prepare is still pending, the disk is full"
	if st.Version != "1.0.0" || st.Deployment != nil || st.Hold == nil || !strings.Contains(st.Hold.Reason, why) {
		t.Errorf("dev is %+v, held for %+v", st, st.Hold)
	}
	if d := h.deployed(); d.Cause != why || d.Recovery == nil || d.Recovery.Restored.IsZero() {
		t.Errorf("it went back for %q: %+v", d.Cause, d.Recovery)
	}
}

// TestServer_ARunAgainHasItsTimeAnew: how long a person took to decide what became
// of an operation is no lack of progress.
func TestServer_ARunAgainHasItsTimeAnew(t *testing.T) {
	h := newHarness(t)
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbPrepare {
			return towpath.OperationResult{Status: towpath.ResultUnknown, Message: "who knows"}
		}
		return towpath.OperationResult{}
	})
	h.publish("1.0.0", "one")
	prepare := func() (step towpath.Step) {
		h.until("nobody knows", func() bool {
			d := h.status("dev").Deployment
			if d == nil {
				return false
			}
			step, _ = d.Components[0].Find(towpath.VerbPrepare)
			return step.Phase == towpath.OperationUnknown
		})
		return step
	}
	before := prepare()
	if before.Issued.IsZero() {
		t.Fatal("nobody knows when it was issued")
	}
	now := time.Now()
	must(t, 0, h.svc.Deploys.Resolve(t.Context(), h.ana, before.Operation, true, "it did not"))
	if again := prepare(); again.Issued.Before(now.Truncate(time.Millisecond)) {
		t.Errorf("issued %s, and again %s", before.Issued, again.Issued)
	}
}

// TestServer_ShowsWhatAnAgentSays: the last that is said of a step is shown as long as
// it runs, and who has lost the operation says nothing of it.
func TestServer_ShowsWhatAnAgentSays(t *testing.T) {
	h := newHarness(t)
	said := func() (all []string) {
		for _, s := range h.deployed().Components[0].Steps {
			all = append(all, string(s.Verb)+" "+string(s.Phase)+": "+s.Message)
		}
		return all
	}
	var during []string
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb != towpath.VerbPrepare || during != nil {
			return towpath.OperationResult{}
		}
		for _, r := range []agentrpc.ReportRequest{{Fence: op.Fence, Message: "one"}, {Fence: op.Fence, Message: "waiting for memory"}, {Fence: op.Fence - 1, Message: "late"}} {
			r.Operation = op.ID
			must(h.t, 0, h.s.agents.Report(context.Background(), h.ana, r))
		}
		during = said()
		return towpath.OperationResult{}
	})
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	if len(during) != 1 || during[0] != "prepare running: waiting for memory" {
		t.Errorf("while it ran: %q", during)
	}
	if after := said(); after[0] != "prepare succeeded: " {
		t.Errorf("afterwards: %q", after)
	}
}
