package agent_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

func TestAgent_SpecDigest(t *testing.T) {
	t.Run("refuses a spec that is not the one which was issued, and names both digests", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			op := b.op("op_1", towpath.VerbPlan)
			op.SpecDigest = towpath.DigestOf([]byte("another"))
			b.srv.locked(func() { b.srv.deaf = true })
			b.srv.add(t, op)
			time.Sleep(time.Minute) // it can't tell for a while
			b.srv.locked(func() { b.srv.deaf = false })
			r := b.srv.result(t, "op_1")
			for _, d := range []towpath.Digest{op.SpecDigest, digestOf(t, b.srv.issued("op_1").Spec)} {
				if r.Status != towpath.ResultFailed || !strings.Contains(r.Message, string(d)) {
					t.Errorf("got %+v, want a failure that names %s", r, d)
				}
			}
			if did := b.runner.steps(); len(did) > 0 {
				t.Errorf("did %q", did)
			}
			b.stop()
			b.start()
			b.srv.add(t, b.op("op_2", towpath.VerbPlan))
			b.srv.result(t, "op_2")
			if h := b.srv.hellos[1].Journal; len(h.Fences)+len(h.Unfinished) > 0 {
				t.Errorf("it was accepted: %+v", h)
			}
		})
	})
	t.Run("knows its own whatever JSON is in it", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			op := b.op("op_1", towpath.VerbPrepare)
			op.Spec.Rendered = json.RawMessage("{ \"b\" : \"<&> \u2028 \\u00e9 é\",\n \"a\": 1.0, \"n\": null }")
			canonical, err := oci.Canonical(op.Spec.Rendered)
			if err != nil {
				t.Fatal(err)
			}
			op.Spec.Revision = towpath.RevisionOf(op.Spec.Kind, "", canonical)
			op.Spec.PreviousRendered = json.RawMessage("null")
			b.srv.add(t, op)
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone {
				t.Errorf("got %+v", r)
			}
		})
	})
}

func TestAgent_ApprovedPlan(t *testing.T) {
	before, plan, other := towpath.DigestOf([]byte("before")), towpath.DigestOf([]byte("plan")), towpath.DigestOf([]byte("other plan"))
	for _, c := range []struct {
		name   string
		verb   towpath.Verb
		change func(*agentrpc.Authorisation, *towpath.OperationSpec) // of what agrees, before the hash is made
		sum    towpath.Digest                                        // instead of the hash of the changes
		status towpath.ResultStatus
		says   []string
	}{
		{"carries out the plan that was approved", towpath.VerbPrepare, nil, "", towpath.ResultDone, nil},
		{"refuses plans that are not those of the approved hash", towpath.VerbPrepare, nil, other, towpath.ResultFailed, []string{string(other)}},
		{"is stale when another revision runs than the plan was made on", towpath.VerbPrepare,
			func(_ *agentrpc.Authorisation, s *towpath.OperationSpec) { s.Previous = "rev_9" }, "", towpath.ResultStale, []string{"rev_0", "rev_9"}},
		{"is stale when traffic would leave another revision than the plan was made on", towpath.VerbSwitch,
			func(_ *agentrpc.Authorisation, s *towpath.OperationSpec) { s.Previous = "" }, "", towpath.ResultStale, []string{"rev_0", "nothing"}},
		{"is stale when the plan left the component as it was", towpath.VerbPrepare,
			func(a *agentrpc.Authorisation, _ *towpath.OperationSpec) { a.Changes = a.Changes[1:] }, "", towpath.ResultStale, []string{"api"}},
		{"refuses another revision", towpath.VerbSwitch,
			func(a *agentrpc.Authorisation, _ *towpath.OperationSpec) { a.Changes[0].To = "rev_2" }, "", towpath.ResultFailed, []string{"it would run", "rev_2"}},
		{"refuses another plan of the same revision", towpath.VerbPrepare,
			func(a *agentrpc.Authorisation, _ *towpath.OperationSpec) { a.Changes[0].Hash = other }, "", towpath.ResultFailed, []string{string(plan), string(other)}},
		{"obeys an approval that names no plans", towpath.VerbPrepare,
			func(a *agentrpc.Authorisation, s *towpath.OperationSpec) { a.Changes, s.Previous = nil, "rev_9" }, other, towpath.ResultDone, nil},
		{"goes back whatever was planned", towpath.VerbRestore,
			func(_ *agentrpc.Authorisation, s *towpath.OperationSpec) { s.Previous = "rev_9" }, "", towpath.ResultDone, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				b.runner.plan.Hash = plan
				op := b.op("op_1", c.verb)
				op.Deployment, op.Spec.Previous = "dep_1", "rev_0"
				auth := agentrpc.Authorisation{
					Kind: towpath.DeploymentPromotion, Project: "shop", Environment: "dev", Deployment: "dep_1", Release: op.Spec.Release, Previous: before,
					Changes: []towpath.PlannedChange{{Component: "api", From: "rev_0", To: op.Spec.Revision, Hash: plan}, {Component: "web", Hash: other}},
				}
				if c.change != nil {
					c.change(&auth, &op.Spec)
				}
				auth.PlanHash = c.sum
				if auth.PlanHash == "" {
					auth.PlanHash = planOf(before, auth.Changes)
				}
				op.Spec.Authorisation = b.srv.authorise(t, auth)
				b.srv.add(t, op)
				r := b.srv.result(t, "op_1")
				if r.Status != c.status {
					t.Errorf("got %+v, want %s", r, c.status)
				}
				for _, s := range c.says {
					if !strings.Contains(r.Message, s) {
						t.Errorf("got %q, want it to name %s", r.Message, s)
					}
				}
				if did := slices.Contains(b.runner.steps(), string(c.verb)+" op_1"); did != (c.status == towpath.ResultDone) {
					t.Errorf("did %q", b.runner.steps())
				}
			})
		})
	}
}

// planOf is the hash of a plan as the server makes it.
func planOf(base towpath.Digest, changes []towpath.PlannedChange) towpath.Digest {
	var plans []towpath.ComponentPlan
	for _, c := range changes {
		plans = append(plans, towpath.ComponentPlan{Component: c.Component, From: c.From, To: c.To, Hash: c.Hash})
	}
	return towpath.PlanOf(base, plans, time.Time{}).Hash
}

func TestAgent_BaseMoved(t *testing.T) {
	t.Run("a base that moved makes the operation stale, and the server is told what runs", func(t *testing.T) {
		onBench(t, func(t *testing.T, b *bench) {
			b.runner.do = func(context.Context, kind.Work) error { return &kind.Stale{Message: "rev_9 runs", Running: "rev_9"} }
			b.srv.add(t, b.op("op_1", towpath.VerbPrepare))
			if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultStale || !strings.Contains(r.Message, "rev_9 runs") || r.Outputs["running"] != "rev_9" {
				t.Errorf("got %+v", r)
			}
		})
	})
	for _, c := range []struct {
		verb    towpath.Verb
		kind    towpath.DeploymentKind
		plan    towpath.Digest
		planned bool
	}{
		{towpath.VerbPrepare, towpath.DeploymentPromotion, towpath.DigestOf([]byte("plan")), true},
		{towpath.VerbSwitch, towpath.DeploymentPromotion, towpath.DigestOf([]byte("plan")), true},
		{towpath.VerbSwitch, towpath.DeploymentPromotion, "", false},
		{towpath.VerbRestore, towpath.DeploymentPromotion, towpath.DigestOf([]byte("plan")), false},
		{towpath.VerbRetire, towpath.DeploymentPromotion, towpath.DigestOf([]byte("plan")), false},
		{towpath.VerbPrepare, towpath.DeploymentRollback, towpath.DigestOf([]byte("plan")), false},
	} {
		t.Run("the runner is told of "+string(c.verb)+" of a "+string(c.kind)+" whether it was planned", func(t *testing.T) {
			onBench(t, func(t *testing.T, b *bench) {
				var got kind.Work
				b.runner.do = func(_ context.Context, w kind.Work) error { got = w; return nil }
				op := b.op("op_1", c.verb)
				op.Deployment = "dep_1"
				op.Spec.Authorisation = b.srv.authorise(t, agentrpc.Authorisation{
					Kind: c.kind, Project: "shop", Environment: "dev", Deployment: "dep_1", Release: op.Spec.Release,
					PlanHash: c.plan, Approvers: []towpath.AccountName{"ana"},
				})
				b.srv.add(t, op)
				if r := b.srv.result(t, "op_1"); r.Status != towpath.ResultDone || got.Planned != c.planned {
					t.Errorf("got %+v, planned %v", r, got.Planned)
				}
			})
		})
	}
}
