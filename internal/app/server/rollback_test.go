package server

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

func TestServer_RollsBackAReleaseThatFails(t *testing.T) {
	for _, verb := range []towpath.Verb{
		towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbSwitch, towpath.VerbVerifyAfter,
	} {
		t.Run(string(verb)+" fails", func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.publish("1.0.0", "one")
			h.runs("staging", "1.0.0")
			good := h.status("dev").Release
			h.answer(func(op towpath.Operation) towpath.OperationResult {
				if op.Verb == verb && op.Spec.Release != good {
					return towpath.OperationResult{Status: towpath.ResultFailed, Message: "it is broken"}
				}
				return towpath.OperationResult{}
			})
			h.publish("1.1.0", "bad")
			p := h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
			st := h.status("dev")
			if st.Version != "1.0.0" || st.Hold == nil || st.Deployment != nil {
				t.Fatalf("after %s failed: %+v (%s)", verb, st, p.Reason)
			}
			if h.status("staging").Version != "1.0.0" {
				t.Fatal("a release that failed in dev got to staging")
			}
			st = h.status("dev")
			if st.Components[0].Revision == "" {
				t.Fatal("nothing runs")
			}
		})
	}
}

func TestServer_ARollbackPreemptsWhatIsActive(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	good := h.status("dev").Release
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbVerifyBefore && op.Spec.Release != good && op.Target.Environment == "dev" {
			return towpath.OperationResult{Status: towpath.ResultUnknown, Message: "who knows"}
		}
		return towpath.OperationResult{}
	})
	h.publish("1.1.0", "stuck")
	h.until("it is stuck", func() bool {
		st := h.status("dev")
		return st.Deployment != nil && slices.ContainsFunc(st.Deployment.Components, func(r towpath.Rollout) bool {
			s, ok := r.Find(towpath.VerbVerifyBefore)
			return ok && s.Phase == towpath.OperationUnknown
		})
	})
	_, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", Reason: "stuck"})
	must(t, 0, err)
	h.runs("dev", "1.0.0")
	h.promotion("dev", "1.1.0", towpath.PromotionCancelled)
}

// A deployment that fails and can't be undone leaves the environment in doubt:
// that is what it says of itself, and a rollback brings back what it had.
func TestServer_WhatCouldNotBeUndone(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbVerifyAfter || op.Verb == towpath.VerbRestore {
			return towpath.OperationResult{Status: towpath.ResultFailed, Message: "no"}
		}
		return towpath.OperationResult{}
	})
	h.publish("1.1.0", "two")
	h.promotion("dev", "1.1.0", towpath.PromotionFailed)
	st := h.status("dev")
	if st.Phase != inventory.PhaseFailed || st.Version != "1.0.0" || st.Hold == nil || !strings.Contains(st.Hold.Reason, "could not be undone") {
		t.Errorf("dev is %s with %s, held by %+v", st.Phase, st.Version, st.Hold)
	}
	if len(st.Components) != 1 || !strings.Contains(st.Components[0].Detail, "may run another revision") {
		t.Errorf("of what is in doubt it says %+v", st.Components)
	}
	h.answer(nil)
	for _, to := range []string{"", "1.0.0"} {
		dry, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", To: to, DryRun: true})
		if err != nil || dry.ToVersion != "1.0.0" || len(dry.Components) != 1 {
			t.Fatalf("to %q it would go %+v, %v", to, dry, err)
		}
	}
	_, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev"})
	must(t, 0, err)
	h.until("dev is itself again", func() bool {
		st := h.status("dev")
		return st.Deployment == nil && st.Phase != inventory.PhaseFailed && st.Version == "1.0.0"
	})
	if _, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", To: "1.0.0"}); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("it went back to what it runs: %v", err)
	}
}

// A way back that fails as well takes its own doubt away, and not that of before:
// where it began is not what the environment is said to run.
func TestServer_AWayBackThatFailsEndsNoDoubtOfBefore(t *testing.T) {
	type says = func(good towpath.Digest, op towpath.Operation) towpath.ResultStatus
	failed := func(h *harness, version string) { h.promotion("dev", version, towpath.PromotionFailed) }
	stuck := func(verb towpath.Verb) func(h *harness, version string) {
		return func(h *harness, version string) {
			h.until(string(verb)+" of "+version+" is stuck", func() bool {
				st := h.status("dev")
				return st.Deployment != nil && slices.ContainsFunc(st.Deployment.Components, func(r towpath.Rollout) bool {
					s, ok := r.Find(verb)
					return ok && s.Phase == towpath.OperationUnknown
				})
			})
		}
	}
	unknown := func(verb towpath.Verb) says {
		return func(good towpath.Digest, op towpath.Operation) towpath.ResultStatus {
			if op.Verb == verb && op.Spec.Release != good {
				return towpath.ResultUnknown
			}
			return ""
		}
	}
	cannotBeUndone := func(good towpath.Digest, op towpath.Operation) towpath.ResultStatus {
		if op.Verb == towpath.VerbVerifyAfter && op.Spec.Release != good || op.Verb == towpath.VerbRestore {
			return towpath.ResultFailed
		}
		return ""
	}
	rollback := func(h *harness) {
		_, err := h.svc.Deploys.Rollback(context.Background(), h.ana, rollbackTo("dev"))
		must(h.t, 0, err)
	}
	for name, tt := range map[string]struct {
		first   says
		until   func(h *harness, version string)
		then    func(h *harness)
		certain bool
		reason  string
	}{
		"after what could not be undone, a rollback":       {cannotBeUndone, failed, rollback, false, "it is still in doubt what runs of api"},
		"half-way after the switch, a rollback that takes": {unknown(towpath.VerbVerifyAfter), stuck(towpath.VerbVerifyAfter), rollback, false, "it is still in doubt what runs of api"},
		"after what could not be undone, a promotion": {cannotBeUndone, failed, func(h *harness) {
			h.publish("1.2.0", "three")
			_, err := h.svc.Promotions.Request(context.Background(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.2.0"})
			must(h.t, 0, err)
			h.promotion("dev", "1.2.0", towpath.PromotionRolledBack)
		}, false, "it is still in doubt what runs of api"},
		"before the switch, a rollback that takes": {unknown(towpath.VerbVerifyBefore), stuck(towpath.VerbVerifyBefore), rollback, true, "the previous release runs again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			ctx := context.Background()
			h.publish("1.0.0", "one")
			h.runs("staging", "1.0.0")
			good := h.status("dev").Release
			h.answer(func(op towpath.Operation) towpath.OperationResult {
				return towpath.OperationResult{Status: tt.first(good, op), Message: "no"}
			})
			h.publish("1.1.0", "two")
			tt.until(h, "1.1.0")
			h.answer(func(op towpath.Operation) towpath.OperationResult { // nothing starts any more
				if op.Verb == towpath.VerbPrepare {
					return towpath.OperationResult{Status: towpath.ResultFailed, Message: "port taken"}
				}
				return towpath.OperationResult{}
			})
			tt.then(h)
			var last towpath.Deployment
			h.until("it has gone back", func() bool {
				l, err := h.svc.Deploys.List(ctx, h.ana, deploy.Filter{Project: shop, Environment: "dev"})
				must(t, 0, err)
				last = l.Items[0]
				return last.Phase == towpath.DeploymentRolledBack
			})
			if !strings.Contains(last.Reason, tt.reason) {
				t.Errorf("it ended: %s", last.Reason)
			}
			st := h.status("dev")
			if st.Version != "1.0.0" || (st.Phase == inventory.PhaseFailed) == tt.certain {
				t.Errorf("dev is %s with %s", st.Phase, st.Version)
			}
			for _, to := range []string{"", "1.0.0"} {
				r := rollbackTo("dev")
				r.To, r.DryRun = to, true
				dry, err := h.svc.Deploys.Rollback(ctx, h.ana, r)
				if certain := towpath.KindOf(err) == towpath.KindConflict; certain != tt.certain || !certain && (dry.ToVersion != "1.0.0" || len(dry.Components) != 1) {
					t.Errorf("to %q it would go %+v, %v", to, dry, err)
				}
			}
			_, err := h.svc.Promotions.Request(ctx, h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.0.0"})
			if m, hint := towpath.PublicMessage(err); strings.Contains(m, "left in doubt") == tt.certain || strings.Contains(hint, "towpath rollback dev") == tt.certain {
				t.Errorf("asked for what it is to run: %v", err)
			}
			if tt.certain {
				return
			}
			h.answer(nil)
			rollback(h)
			h.until("dev is itself again", func() bool {
				st := h.status("dev")
				return st.Deployment == nil && st.Phase != inventory.PhaseFailed && st.Version == "1.0.0"
			})
		})
	}
}

func rollbackTo(e towpath.EnvironmentName) deploy.RollbackRequest {
	return deploy.RollbackRequest{Project: shop, Environment: e, Reason: "a test"}
}

func TestServer_GoingBackTwiceGoesBackOnce(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	good := h.status("dev").Release
	h.publish("1.1.0", "two")
	h.runs("dev", "1.1.0")
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbVerifyBefore && op.Spec.Release == good && op.Target.Environment == "dev" {
			return towpath.OperationResult{Status: towpath.ResultUnknown, Message: "who knows"}
		}
		return towpath.OperationResult{}
	})
	first, err := h.svc.Deploys.Rollback(ctx, h.ana, rollbackTo("dev"))
	must(t, 0, err)
	again, err := h.svc.Deploys.Rollback(ctx, h.ben, rollbackTo("dev"))
	must(t, 0, err)
	if again.Deployment == nil || again.Deployment.ID != first.Deployment.ID || again.ToVersion != "1.0.0" || again.FromVersion != "1.1.0" {
		t.Errorf("asked again: %+v", again)
	}
	if _, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", To: "1.1.0"}); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("back to what somebody wants to be rid of: %v", err)
	}
}

// TestServer_RollbackGoesToNothingThatWasLeft: no rollback goes to what one has left, however
// well that ran there before.
func TestServer_RollbackGoesToNothingThatWasLeft(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.staging = towpath.PromotionManual
		for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
			h.publish(v, v)
			h.runs("dev", v)
		}
		_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.1.0"})
		must(t, 0, err)
		h.runs("dev", "1.1.0") // once more
		back := deploy.RollbackRequest{Project: shop, Environment: "dev"}
		for _, want := range []string{"1.2.0", "1.0.0"} {
			out, err := h.svc.Deploys.Rollback(t.Context(), h.ana, back)
			must(t, out, err)
			if out.ToVersion != want {
				t.Fatalf("it goes from %s to %s, want %s", out.FromVersion, out.ToVersion, want)
			}
			h.runs("dev", want)
			named := back
			named.To = out.FromVersion
			if _, err := h.svc.Deploys.Rollback(t.Context(), h.ana, named); towpath.KindOf(err) != towpath.KindConflict {
				t.Errorf("it goes to %s, which was left: %v", named.To, err)
			}
		}
	})
}
