package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestServer_CarriesAReleaseUpstreamAndBack(t *testing.T) {
	t.Run("on SQLite", func(t *testing.T) { carriesUpstreamAndBack(t, newHarness(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { carriesUpstreamAndBack(t, newHarnessOn(t, dbtest.PostgresURL(t))) })
}

func carriesUpstreamAndBack(t *testing.T, h *harness) {
	ctx := context.Background()

	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.runs("staging", "1.0.0")
	p := h.promotion("prod", "1.0.0", towpath.PromotionWaiting)

	t.Run("the author may not approve", func(t *testing.T) {
		_, err := h.svc.Promotions.Approve(ctx, h.ana, p.ID, true, "")
		if towpath.KindOf(err) != towpath.KindForbidden {
			t.Fatalf("approval by the author: %v", err)
		}
	})
	_, err := h.svc.Promotions.Approve(ctx, h.ben, p.ID, true, "looks good")
	must(t, 0, err)
	h.runs("prod", "1.0.0")

	h.publish("1.1.0", "two")
	h.runs("staging", "1.1.0")
	p = h.promotion("prod", "1.1.0", towpath.PromotionWaiting)
	_, err = h.svc.Promotions.Approve(ctx, h.ben, p.ID, true, "")
	must(t, 0, err)
	h.runs("prod", "1.1.0")

	t.Run("a dry run changes nothing", func(t *testing.T) {
		r, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "prod", DryRun: true})
		must(t, 0, err)
		if r.ToVersion != "1.0.0" || r.Deployment != nil || len(r.Components) != 1 || h.status("prod").Hold != nil {
			t.Fatalf("dry run: %+v", r)
		}
	})
	_, err = h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "prod", Reason: "checkout is slow"})
	must(t, 0, err)
	h.runs("prod", "1.0.0")
	if st := h.status("prod"); st.Hold == nil {
		t.Fatalf("a rollback sets a hold: %+v", st)
	}
	back := map[bool]int{}
	for _, op := range h.done() {
		back[op.Spec.Back]++
		if op.Spec.Back && (op.Target.Environment != "prod") {
			t.Errorf("%s of %s in %s says that it goes back", op.Verb, op.Spec.Release, op.Target.Environment)
		}
	}
	if back[true] == 0 || back[false] == 0 {
		t.Errorf("%v operations say that they go back", back)
	}
	t.Run("rolling back to what was rolled back from is refused", func(t *testing.T) {
		_, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "prod", To: "1.1.0"})
		if towpath.KindOf(err) != towpath.KindConflict {
			t.Fatalf("rollback to a bad release: %v", err)
		}
	})
	t.Run("rolling back to what runs is refused", func(t *testing.T) {
		_, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "prod", To: "1.0.0"})
		if towpath.KindOf(err) != towpath.KindConflict {
			t.Fatalf("rollback to what runs: %v", err)
		}
	})
	h.until("the ledger verifies", func() bool {
		r, err := h.svc.Audit.Verify(ctx, h.ana, "")
		must(t, 0, err)
		return r.OK && r.Unsequenced == 0
	})
	h.until("the branch follows", func() bool { return h.status("staging").Branch.Pending == "" })
	if got, want := h.repo.Tip("staging"), h.repo.Tip("main"); got != want {
		t.Errorf("branch staging is at %s, want %s", got, want)
	}
}

func TestServer_RetriesWhatIsNotTheReleasesFault(t *testing.T) {
	h := newHarness(t)
	tries := 0
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbPrepare && op.Target.Environment == "dev" {
			if tries++; tries < 3 {
				return towpath.OperationResult{Status: towpath.ResultError, Message: "disk full"}
			}
		}
		return towpath.OperationResult{}
	})
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	if tries != 3 {
		t.Errorf("prepared %d times, want 3", tries)
	}
}

func TestServer_CancelUndoesAFirstDeploymentThatIsStuck(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbVerifyBefore {
			return towpath.OperationResult{Status: towpath.ResultUnknown, Message: "who knows"}
		}
		return towpath.OperationResult{}
	})
	h.publish("1.0.0", "stuck")
	p := h.promotion("dev", "1.0.0", towpath.PromotionDeploying)
	_, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "dev"})
	if towpath.KindOf(err) != towpath.KindConflict {
		t.Fatalf("there is nothing to roll back to: %v", err)
	}
	_, err = h.svc.Promotions.Cancel(ctx, h.ana, p.ID, "it hangs")
	must(t, 0, err)
	// Whoever asks again, before it has gone back or after, changes nothing.
	if _, err = h.svc.Promotions.Cancel(ctx, h.ana, p.ID, "once more"); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("cancelled again: %v", err)
	}
	h.promotion("dev", "1.0.0", towpath.PromotionRolledBack)
	if n := len(h.events("deployment.abort-requested")); n != 1 {
		t.Errorf("it was asked for %d times", n)
	}
	if st := h.status("dev"); st.Phase != inventory.PhaseEmpty || st.Deployment != nil {
		t.Fatalf("%+v", st)
	}
}

func must3[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// nudge has the move of staging's refs tried again now.
func nudge(ctx context.Context, tx *store.Tx) error {
	return tx.Enqueue(ctx, promote.WorkRef, string(shop)+"/staging", time.Unix(0, 0))
}

func TestServer_CollectsWhatRetentionDoesNotKeep(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	old := h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	h.publish("1.1.0", "two")
	h.runs("staging", "1.1.0")
	collected := func(when time.Time) release.Collected {
		t.Helper()
		later := release.New(release.Config{Now: func() time.Time { return when }}, store.For[release.Tx](h.s.store), h.s.agents.blobs, nil, latch{sqldb.NewLatch(h.s.db, "retention")})
		out, err := later.Collect(ctx, h.ana, shop, true)
		must(t, 0, err)
		return out
	}
	t.Run("nothing that a rollback would go to, however old", func(t *testing.T) {
		if out := collected(time.Now().AddDate(5, 0, 0)); len(out.Releases) != 0 {
			t.Errorf("gives up %v of which %s ran", out.Releases, old.Version)
		}
	})
	t.Run("a release that ran nowhere and is old", func(t *testing.T) {
		h.answer(func(op towpath.Operation) towpath.OperationResult {
			if op.Verb == towpath.VerbPrepare {
				return towpath.OperationResult{Status: towpath.ResultFailed, Message: "no"}
			}
			return towpath.OperationResult{}
		})
		bad := h.publish("1.2.0", "three")
		h.promotion("dev", "1.2.0", towpath.PromotionRolledBack)
		for i := range 11 { // ten others ran since
			h.answer(nil)
			version := fmt.Sprintf("1.3.%d", i)
			if err := h.svc.Promotions.Unhold(ctx, h.ana, shop, "dev", ""); err != nil && towpath.KindOf(err) != towpath.KindConflict {
				t.Fatal(err)
			}
			h.publish(version, version)
			h.runs("dev", version)
		}
		out := collected(time.Now().AddDate(5, 0, 0))
		if !slices.Contains(out.Releases, bad.Release) {
			t.Errorf("keeps %s: %+v", bad.Release, out)
		}
		if slices.Contains(out.Releases, h.status("dev").Release) {
			t.Error("gives up what runs")
		}
	})
}

// statement is the least that a provenance says.
func TestServer_Publish(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	first := h.publish("1.0.0", "one")
	manifest := must3(readBlob(ctx, h, first.Release))(t)
	again := release.PublishRequest{
		Project: shop, Manifest: manifest, Provenance: statement(first.Release, "built once more"),
		Commit: first.Commit, Ref: first.Ref, Version: first.Version,
	}
	t.Run("the same commit again changes nothing", func(t *testing.T) {
		out, err := h.svc.Releases.Publish(ctx, h.ana, again)
		must(t, 0, err)
		if out.Created || out.Candidate.ID != first.ID {
			t.Fatalf("%+v", out.Candidate)
		}
	})
	t.Run("a provenance of something else is refused", func(t *testing.T) {
		r := again
		r.Provenance = statement(towpath.HashOf("else"), "")
		_, err := h.svc.Releases.Publish(ctx, h.ana, r)
		if towpath.KindOf(err) != towpath.KindInvalid {
			t.Fatal(err)
		}
	})
	t.Run("a commit that is not in the repository is refused", func(t *testing.T) {
		r := again
		r.Commit = towpath.CommitID(strings.Repeat("ab", 20))
		_, err := h.svc.Releases.Publish(ctx, h.ana, r)
		if towpath.KindOf(err) != towpath.KindNotFound {
			t.Fatal(err)
		}
	})
	t.Run("a viewer may not publish", func(t *testing.T) {
		viewer := towpath.Actor{Account: "eve", Token: "tok", Grants: []towpath.Grant{{Role: towpath.RoleViewer}}}
		_, err := h.svc.Releases.Publish(ctx, viewer, again)
		if towpath.KindOf(err) != towpath.KindForbidden {
			t.Fatal(err)
		}
	})
}

func readBlob(ctx context.Context, h *harness, d towpath.Digest) ([]byte, error) {
	return blob.ReadAll(ctx, h.s.agents.blobs, d, 1<<20)
}

func TestServer_ARunningEnvironmentStaysInItsPlace(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.place = "elsewhere"
	h.publish("1.1.0", "two")
	p := h.promotion("dev", "1.1.0", towpath.PromotionDenied)
	if !strings.Contains(p.Reason, "runs in place local, and the release puts it into elsewhere") || !strings.Contains(p.Reason, "an environment of its own") {
		t.Errorf("the reason is %q", p.Reason)
	}
	if st := h.status("dev"); st.Version != "1.0.0" {
		t.Errorf("dev runs %s", st.Version)
	}
}

func TestServer_AStayEndsAlsoWhenSomethingFailedSince(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbVerifyBefore && op.Target.Environment == "dev" {
			return towpath.OperationResult{Status: towpath.ResultFailed, Message: "it is broken"}
		}
		return towpath.OperationResult{}
	})
	h.publish("1.1.0", "bad")
	h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
	h.answer(nil)
	must(t, 0, h.svc.Promotions.Unhold(ctx, h.ana, shop, "dev", ""))
	h.publish("1.2.0", "good")
	h.runs("dev", "1.2.0")
	var standing int
	err := h.s.db.QueryRow(ctx, `SELECT COUNT(*) FROM run WHERE environment = 'dev' AND doc NOT LIKE '%"ended"%'`).Scan(&standing)
	must(t, 0, err)
	if standing != 1 {
		t.Errorf("%d releases stay in dev at once", standing)
	}
}

func TestServer_APersonTakesAPromotionThatWaitsOver(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	must(t, 0, h.svc.Promotions.Hold(ctx, h.ana, shop, "dev", "looking"))
	h.publish("1.1.0", "two")
	waits := h.promotion("dev", "1.1.0", towpath.PromotionWaiting)
	p, err := h.svc.Promotions.Request(ctx, h.ben, promote.Request{Project: shop, Environment: "dev", Release: "1.1.0"})
	must(t, 0, err)
	if p.ID != waits.ID || p.RequestedBy != "ben" || p.Mode != towpath.PromotionManual {
		t.Errorf("got %s by %s, %s", p.ID, p.RequestedBy, p.Mode)
	}
	if len(p.Verdicts) > 0 || strings.Contains(p.Reason, "hold") {
		t.Errorf("it still has what the gates said of the automatic one: %s, %v", p.Reason, p.Verdicts)
	}
	h.runs("dev", "1.1.0")
}
