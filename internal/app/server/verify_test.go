package server

import (
	"context"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// verify verifies an environment again and waits for the end.
func (h *harness) verify(e towpath.EnvironmentName) (passed bool) {
	h.t.Helper()
	ctx := context.Background()
	v, err := h.svc.Deploys.Verify(ctx, h.ana, shop, e)
	must(h.t, 0, err)
	if v.Done || len(v.Components) != 1 {
		h.t.Fatalf("%+v", v)
	}
	h.until("the verification has ended", func() bool {
		v, err = h.svc.Deploys.Verification(ctx, h.ana, shop, e, v.ID)
		must(h.t, 0, err)
		return v.Done
	})
	return v.Passed
}

func TestServer_ALaterVerificationThatFailsTakesItBack(t *testing.T) {
	t.Run("on SQLite", func(t *testing.T) { laterVerification(t, newHarness(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { laterVerification(t, newHarnessOn(t, pgtest.New(t))) })
}

func laterVerification(t *testing.T, h *harness) {
	ctx := context.Background()
	if _, err := h.svc.Deploys.Verify(ctx, h.ana, shop, "staging"); towpath.KindOf(err) != towpath.KindNotFound {
		t.Errorf("an environment that nobody knows: %v", err)
	}
	h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	p := h.promotion("prod", "1.0.0", towpath.PromotionWaiting)
	steps := len(must3(h.svc.Deploys.Get(ctx, h.ana, deploymentOf(h, "staging")))(t).Components[0].Steps)

	h.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb != towpath.VerbVerifyAfter || op.Target.Environment != "staging" {
			return towpath.OperationResult{}
		}
		return towpath.OperationResult{Status: towpath.ResultFailed, Message: "checkout answers 500"}
	})
	if h.verify("staging") {
		t.Fatal("it passed")
	}
	if st := h.status("staging"); !strings.Contains(st.Doubt, "api: checkout answers 500") {
		t.Errorf("the status says %q", st.Doubt)
	}
	denied := h.promotion("prod", "1.0.0", towpath.PromotionDenied)
	if denied.ID != p.ID || !strings.Contains(denied.Reason, "1.0.0 is not verified in staging") {
		t.Errorf("%s: %s", denied.ID, denied.Reason)
	}

	h.answer(nil)
	if !h.verify("staging") {
		t.Fatal("it failed")
	}
	if st := h.status("staging"); st.Doubt != "" {
		t.Errorf("the doubt stays: %s", st.Doubt)
	}
	_, err := h.svc.Promotions.Request(ctx, h.ana, promote.Request{Project: shop, Environment: "prod", Release: "1.0.0"})
	must(t, 0, err)
	h.promotion("prod", "1.0.0", towpath.PromotionWaiting)
	if d := must3(h.svc.Deploys.Get(ctx, h.ana, deploymentOf(h, "staging")))(t); len(d.Components[0].Steps) != steps {
		t.Errorf("verifying again added steps to the deployment: %+v", d.Components[0].Steps)
	}
	t.Run("a rollback's doubt is not taken away", func(t *testing.T) {
		_, err := h.s.db.Exec(ctx, `UPDATE run SET doc = REPLACE(doc, '"verified":true', '"verified":false,"doubt":"rolled back from: it is slow"') WHERE environment = 'staging'`)
		must(t, 0, err)
		if !h.verify("staging") {
			t.Fatal("it failed")
		}
		if st := h.status("staging"); st.Doubt == "" {
			t.Error("it is")
		}
	})
}

func deploymentOf(h *harness, e towpath.EnvironmentName) towpath.DeploymentID {
	h.t.Helper()
	var id towpath.DeploymentID
	err := h.s.db.QueryRow(context.Background(), `SELECT id FROM deployment WHERE environment = $1`, e).Scan(&id)
	must(h.t, 0, sqldb.MapError("test", err))
	return id
}
