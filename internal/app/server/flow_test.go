package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// harness is a running server, a repository and an agent that does what the
// test says.
type harness struct {
	t       *testing.T
	s       *Server
	svc     rest.Services
	repo    *gittest.Repo
	ana     towpath.Actor // author
	ben     towpath.Actor // approver
	mu      sync.Mutex
	outcome func(op towpath.Operation) towpath.OperationResult
	ops     []towpath.Operation
}

const shop = towpath.ProjectName("shop")

func newHarness(t *testing.T) *harness { return newHarnessOn(t, "") }

// newHarnessOn runs the server on a database; empty is SQLite.
func newHarnessOn(t *testing.T, database string) *harness {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, Config{Data: t.TempDir(), Database: database, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, s: s, svc: s.services, repo: gittest.New(t)}
	all := []towpath.Grant{}
	for _, r := range towpath.Roles() {
		all = append(all, towpath.Grant{Role: r})
	}
	h.ana = towpath.Actor{Account: "ana", Grants: all}
	h.ben = towpath.Actor{Account: "ben", Grants: all}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	agentDone := make(chan struct{})
	go func() { defer close(agentDone); h.agent(ctx) }()
	t.Cleanup(func() { cancel(); <-agentDone; <-done })
	_, err = h.svc.Projects.Register(ctx, h.ana, shop, h.repo.Dir)
	must(t, 0, err)
	for name, email := range map[towpath.AccountName]string{"ana": gittest.Ana.Email, "ben": gittest.Ben.Email} {
		_, err := h.svc.Accounts.Create(ctx, h.ana, name, []string{email})
		must(t, 0, err)
	}
	return h
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// agent claims operations and ends them as the test says.
func (h *harness) agent(ctx context.Context) {
	a := h.s.agents
	_, err := a.deploys.Hello(ctx, h.ana, deploy.Greeting{Place: "local", Agent: "host-1", Session: "session-1"})
	for err == nil && ctx.Err() == nil {
		var ops []towpath.Operation
		ops, err = a.Claim(ctx, h.ana, agentrpc.ClaimRequest{Session: "session-1", Max: 8, Wait: 5 * time.Second})
		if err != nil {
			return
		}
		for _, op := range ops {
			h.mu.Lock()
			h.ops = append(h.ops, op)
			res := towpath.OperationResult{Status: towpath.ResultDone}
			if op.Verb == towpath.VerbPlan {
				res.Plan = &towpath.ComponentPlan{
					Component: op.Target.Component, Kind: op.Spec.Kind, Action: towpath.ActionReplace,
					From: op.Spec.Previous, To: op.Spec.Revision, Hash: op.SpecDigest,
				}
			}
			if h.outcome != nil {
				if r := h.outcome(op); r.Status != "" {
					res = r
				}
			}
			h.mu.Unlock()
			if _, err := a.deploys.Finish(ctx, h.ana, op.ID, op.Fence, 1, res); err != nil {
				return
			}
		}
	}
}

func (h *harness) answer(f func(op towpath.Operation) towpath.OperationResult) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outcome = f
}

// publish commits and publishes a release whose component says what.
func (h *harness) publish(version, what string) towpath.Candidate {
	h.t.Helper()
	ctx := context.Background()
	h.repo.WriteFile("api/what", what)
	commit := h.repo.CommitAs(gittest.Ana, version)
	layer := []byte("files of " + what)
	content := &towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: shop,
		Components: []towpath.ReleaseComponent{{
			Name: "api", Kind: towpath.KindProcess, Layer: towpath.DigestOf(layer), Size: int64(len(layer)),
			Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute}, Drift: towpath.DriftReport,
		}},
	}
	for _, e := range []towpath.EnvironmentSpec{
		{Name: "dev", Promotion: towpath.PromotionAutomatic, Place: "local"},
		{Name: "staging", From: "dev", Branch: "staging", Promotion: towpath.PromotionAutomatic, Place: "local"},
		{
			Name: "prod", From: "staging", Branch: "production", Promotion: towpath.PromotionAutomatic, Place: "local",
			Gates: towpath.GateRules{Approvals: &towpath.ApprovalRule{Count: 1}},
		},
	} {
		spec := json.RawMessage(fmt.Sprintf(`{"greeting":%q}`, what+" in "+string(e.Name)))
		content.Environments = append(content.Environments, towpath.ReleaseEnvironment{
			Rules: e,
			Components: []towpath.RenderedComponent{{
				Name: "api", Spec: spec, Revision: towpath.RevisionOf(towpath.KindProcess, towpath.DigestOf(layer), spec),
			}},
		})
	}
	enc, err := oci.Encode(content)
	must(h.t, 0, err)
	for _, b := range [][]byte{layer, enc.Content} {
		must(h.t, 0, h.svc.Releases.PutBlob(ctx, h.ana, shop, towpath.DigestOf(b), bytes.NewReader(b)))
	}
	out := must2(h.t)(h.svc.Releases.Publish(ctx, h.ana, release.PublishRequest{
		Project: shop, Manifest: enc.Manifest, Provenance: statement(enc.Digest, version), Commit: commit, Ref: "main", Version: version,
	}))
	return out.Candidate
}

func must2(t *testing.T) func(release.Published, error) release.Published {
	return func(p release.Published, err error) release.Published {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// until waits for a change after which f holds.
func (h *harness) until(what string, f func() bool) {
	h.t.Helper()
	deadline := time.After(20 * time.Second)
	poll := time.NewTicker(50 * time.Millisecond) // not every change is announced
	defer poll.Stop()
	for {
		next := h.s.agents.changed.Next()
		if f() {
			return
		}
		select {
		case <-next:
		case <-poll.C:
		case <-deadline:
			h.t.Fatalf("never: %s\n%s", what, h.dump())
		}
	}
}

func (h *harness) dump() string {
	st, err := h.svc.Inventory.Status(context.Background(), h.ana, shop, "")
	b, _ := json.MarshalIndent(st, "", " ")
	l, _ := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: shop})
	c, _ := json.MarshalIndent(l, "", " ")
	return fmt.Sprint(string(b), string(c), err)
}

func (h *harness) status(e towpath.EnvironmentName) inventory.Status {
	h.t.Helper()
	st, err := h.svc.Inventory.Status(context.Background(), h.ana, shop, e)
	must(h.t, 0, err)
	return st[0]
}

func (h *harness) runs(e towpath.EnvironmentName, version string) {
	h.t.Helper()
	h.until(string(e)+" runs "+version, func() bool {
		st := h.status(e)
		return st.Version == version && st.Deployment == nil
	})
}

// promotion waits for the promotion of a version into an environment to reach
// a phase.
func (h *harness) promotion(e towpath.EnvironmentName, version string, phase towpath.PromotionPhase) towpath.Promotion {
	h.t.Helper()
	var found towpath.Promotion
	h.until(fmt.Sprintf("promotion of %s to %s is %s", version, e, phase), func() bool {
		l, err := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: shop, Environment: e})
		must(h.t, 0, err)
		i := slices.IndexFunc(l.Items, func(p towpath.Promotion) bool { return p.Version == version })
		if i >= 0 {
			found = l.Items[i]
		}
		return i >= 0 && found.Phase == phase && (phase != towpath.PromotionWaiting || len(found.Verdicts) > 0)
	})
	return found
}

func TestServer_CarriesAReleaseUpstreamAndBack(t *testing.T) {
	t.Run("on SQLite", func(t *testing.T) { carriesUpstreamAndBack(t, newHarness(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { carriesUpstreamAndBack(t, newHarnessOn(t, pgtest.New(t))) })
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
	h.promotion("dev", "1.0.0", towpath.PromotionRolledBack)
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

func rollbackTo(e towpath.EnvironmentName) deploy.RollbackRequest {
	return deploy.RollbackRequest{Project: shop, Environment: e, Reason: "a test"}
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
		later := release.New(release.Config{Now: func() time.Time { return when }}, store.For[release.Tx](h.s.store), h.s.agents.blobs, nil)
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
func statement(d towpath.Digest, version string) []byte {
	return fmt.Appendf(nil, `{"subject":[{"digest":{"sha256":%q}}],"version":%q}`, d.Hex(), version)
}

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
