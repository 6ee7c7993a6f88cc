package server

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
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
	t.Run("on PostgreSQL", func(t *testing.T) { laterVerification(t, newHarnessOn(t, dbtest.PostgresURL(t))) })
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

// TestServer_ARollbackWaitsForNoVerification: an agent works on one thing at a time
// in each target, and jobs may hang for as long as their component's timeout.
func TestServer_ARollbackWaitsForNoVerification(t *testing.T) {
	t.Run("on SQLite", func(t *testing.T) { rollbackDuringVerification(t, newHarness(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { rollbackDuringVerification(t, newHarnessOn(t, dbtest.PostgresURL(t))) })
}

func rollbackDuringVerification(t *testing.T, h *harness) {
	ctx := context.Background()
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	h.publish("1.1.0", "two")
	h.runs("staging", "1.1.0")
	h.away() // and this is the agent
	claimed := func(of func(op towpath.Operation) bool) (found towpath.Operation) {
		h.until("the agent gets it", func() bool {
			ops, err := h.s.agents.Claim(ctx, h.ana, agentrpc.ClaimRequest{Session: "session-1", Max: 8, Wait: time.Millisecond})
			must(t, 0, err)
			i := slices.IndexFunc(ops, of)
			if i >= 0 {
				found = ops[i]
			}
			return i >= 0
		})
		return found
	}
	v, err := h.svc.Deploys.Verify(ctx, h.ana, shop, "dev")
	must(t, 0, err)
	hangs := claimed(func(op towpath.Operation) bool { return op.Promotion == v.ID })
	back, err := h.svc.Deploys.Rollback(ctx, h.ana, rollbackTo("dev"))
	must(t, 0, err)
	v, err = h.svc.Deploys.Verification(ctx, h.ana, shop, "dev", v.ID)
	must(t, 0, err)
	if c := v.Components[0]; !v.Done || v.Passed || c.Phase != towpath.OperationCancelled || !strings.HasPrefix(c.Message, "withdrawn") {
		t.Errorf("the verification is %+v", v)
	}
	claimed(func(op towpath.Operation) bool { return op.Deployment == back.Deployment.ID })
	if r, err := h.s.agents.deploys.Renew(ctx, h.ana, "session-1", []deploy.Renewal{{Operation: hangs.ID, Fence: hangs.Fence}}); err != nil || r[0].Go {
		t.Errorf("the agent is to go on with the verification: %v, %v", r, err)
	}
	if ok, err := h.s.agents.deploys.Finish(ctx, h.ana, hangs.ID, hangs.Fence, towpath.OperationResult{Status: towpath.ResultFailed, Message: "late"}); err != nil || ok {
		t.Errorf("what the verification says in the end counts: %v, %v", ok, err)
	}
	h.back()
	h.runs("dev", "1.0.0")
}

// TestServer_AVerificationThatIsWithdrawn: what had failed by then failed.
func TestServer_AVerificationThatIsWithdrawn(t *testing.T) {
	for name, tt := range map[string]struct {
		api   towpath.ResultStatus
		doubt string
	}{
		"after a job failed": {towpath.ResultFailed, "a later verification failed: api: it answers 500"},
		"after a job passed": {towpath.ResultDone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.search = true
			ctx := context.Background()
			h.publish("1.0.0", "one")
			h.runs("staging", "1.0.0")
			h.answer(func(op towpath.Operation) towpath.OperationResult {
				switch {
				case op.Again && op.Target.Component == "api":
					return towpath.OperationResult{Status: tt.api, Message: "it answers 500"}
				case op.Again:
					return towpath.OperationResult{Status: towpath.ResultUnknown, Message: "who knows"}
				case op.Verb == towpath.VerbPrepare:
					return towpath.OperationResult{Status: towpath.ResultFailed, Message: "it is broken"}
				}
				return towpath.OperationResult{}
			})
			v, err := h.svc.Deploys.Verify(ctx, h.ana, shop, "dev")
			must(t, 0, err)
			phases := func() (out []towpath.OperationPhase) {
				v, err := h.svc.Deploys.Verification(ctx, h.ana, shop, "dev", v.ID)
				must(t, 0, err)
				for _, c := range v.Components {
					out = append(out, c.Phase)
				}
				return out
			}
			h.until("only one job is left", func() bool {
				p := phases()
				return slices.Contains(p, towpath.OperationUnknown) && !slices.Contains(p, towpath.OperationPending) && !slices.Contains(p, towpath.OperationRunning)
			})
			h.publish("1.1.0", "bad")
			h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
			if p := phases(); !slices.Contains(p, towpath.OperationCancelled) || slices.Contains(p, towpath.OperationUnknown) {
				t.Errorf("undoing a deployment leaves the verification %v", p)
			}
			if doubt := h.status("dev").Doubt; doubt != tt.doubt {
				t.Errorf("what runs is in doubt: %q, want %q", doubt, tt.doubt)
			}
		})
	}
}

func deploymentOf(h *harness, e towpath.EnvironmentName) towpath.DeploymentID {
	h.t.Helper()
	var id towpath.DeploymentID
	err := h.s.db.QueryRow(context.Background(), `SELECT id FROM deployment WHERE environment = $1`, e).Scan(&id)
	must(h.t, 0, sqldb.MapError("test", err))
	return id
}
