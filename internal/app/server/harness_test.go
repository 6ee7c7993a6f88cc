package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// harness is a running server, a repository and an agent that does what the
// test says.
type harness struct {
	t          *testing.T
	s          *Server
	svc        rest.Services
	repo       *gittest.Repo
	project    towpath.ProjectName                        // of releases and status; empty is shop
	place      towpath.PlaceName                          // of dev in releases; empty is local
	dev        towpath.PromotionMode                      // empty is automatic
	staging    towpath.PromotionMode                      // likewise
	ref        string                                     // that releases are built from; empty is main
	gates      towpath.GateRules                          // of dev in releases
	regions    map[towpath.EnvironmentName]towpath.Region // of environments in releases
	retention  towpath.RetentionRule                      // of all environments in releases
	materials  string                                     // of releases: JSON of their list; empty is none
	rollout    *towpath.RolloutSpec                       // of the component in releases; nil is blue-green
	objectives []towpath.Objective                        // of releases
	drift      towpath.DriftPolicy                        // of the component in releases; empty is report
	search     bool                                       // releases have a second component, as the first is
	needs      bool                                       // that needs the first
	more       []towpath.EnvironmentSpec                  // that releases name besides
	concurrent int                                        // of dev in releases
	rules      *towpath.DriftRules                        // likewise
	ana        towpath.Actor                              // author
	ben        towpath.Actor                              // approver
	by         *towpath.Actor                             // who publishes; nil is ana
	component  towpath.ComponentName                      // of releases; empty is api
	stop       func()                                     // the server and the agent
	away       func()                                     // ends the agent
	back       func()                                     // starts it again
	mu         sync.Mutex
	outcome    func(op towpath.Operation) towpath.OperationResult
	ops        []towpath.Operation
}

const shop = towpath.ProjectName("shop")

func newHarness(t *testing.T) *harness { return newHarnessOn(t, "") }

// newHarnessOn runs the server on a database; empty is SQLite.
func newHarnessOn(t *testing.T, database string) *harness {
	t.Helper()
	h := startHarness(t, Config{Data: folder(t), Database: database}, gittest.New(t))
	h.introduce()
	return h
}

// folder is a data folder as a server leaves it that did nothing yet: its migrations
// are made.
func folder(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	dbtest.SQLiteFile(t, filepath.Join(data, "towpath.db"))
	return data
}

// introduce registers the project and the people.
func (h *harness) introduce() {
	h.t.Helper()
	_, err := h.svc.Projects.Register(context.Background(), h.ana, shop, h.repo.Dir)
	must(h.t, 0, err)
	for name, email := range map[towpath.AccountName]string{"ana": gittest.Ana.Email, "ben": gittest.Ben.Email} {
		_, err := h.svc.Accounts.Create(context.Background(), h.ana, name, []string{email})
		must(h.t, 0, err)
	}
}

// openHarness opens a server on what is there, which does nothing by itself.
func openHarness(t *testing.T, cfg Config, repo *gittest.Repo) *harness {
	t.Helper()
	cfg.Listen, cfg.Version, cfg.Log = "127.0.0.1:0", "test", cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	s, err := New(t.Context(), cfg)
	must(t, 0, err)
	all := []towpath.Grant{}
	for _, r := range towpath.Roles() {
		all = append(all, towpath.Grant{Role: r})
	}
	return &harness{
		t: t, s: s, svc: s.services, repo: repo,
		ana: towpath.Actor{Account: "ana", Grants: all}, ben: towpath.Actor{Account: "ben", Grants: all},
	}
}

// startHarness runs a server on what is there, with an agent.
func startHarness(t *testing.T, cfg Config, repo *gittest.Repo) *harness {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := openHarness(t, cfg, repo)
	s := h.s
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	h.back = func() {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		as := h.ana // tests may be somebody else for a while
		go func() { defer close(ended); h.agent(ctx, as) }()
		h.away = func() { cancel(); <-ended }
	}
	h.back()
	h.stop = sync.OnceFunc(func() { cancel(); h.away(); <-done })
	t.Cleanup(h.stop)
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
func (h *harness) agent(ctx context.Context, as towpath.Actor) {
	a := h.s.agents
	_, err := a.deploys.Hello(ctx, as, deploy.Greeting{Place: "local", Agent: "host-1", Session: "session-1"})
	for err == nil && ctx.Err() == nil {
		var ops []towpath.Operation
		ops, err = a.Claim(ctx, as, agentrpc.ClaimRequest{Session: "session-1", Max: 8, Wait: 5 * time.Second})
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
			if _, err := a.deploys.Finish(ctx, as, op.ID, op.Fence, res); err != nil {
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

// in is the project that is meant.
func (h *harness) in() towpath.ProjectName { return cmp.Or(h.project, shop) }

// publish commits and publishes a release whose component says what.
func (h *harness) publish(version, what string) towpath.Candidate {
	h.t.Helper()
	return must2(h.t)(h.offer(version, what)).Candidate
}

// offer is [harness.publish] of what may be refused.
func (h *harness) offer(version, what string) (release.Published, error) {
	h.t.Helper()
	return h.submit(h.encode(version, what))
}

// built commits and uploads a release whose component says what.
func (h *harness) built(version, what string) release.PublishRequest {
	h.t.Helper()
	blobs, r := h.encode(version, what)
	h.deposit(blobs)
	return r
}

// encode commits and makes a release whose component says what: its blobs, and what
// is asked for to publish it.
func (h *harness) encode(version, what string) ([][]byte, release.PublishRequest) {
	h.t.Helper()
	h.repo.WriteFile("api/what", what)
	commit := h.repo.CommitAs(gittest.Ana, version)
	layer := []byte("files of " + what)
	content := &towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: h.in(),
		Components: []towpath.ReleaseComponent{{
			Name: cmp.Or(h.component, "api"), Kind: towpath.KindProcess, Layer: towpath.DigestOf(layer), Size: int64(len(layer)),
			Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute}, Drift: cmp.Or(h.drift, towpath.DriftReport), DriftRules: h.rules,
		}},
		Objectives: h.objectives,
	}
	if h.rollout != nil {
		content.Components[0].Rollout = *h.rollout
	}
	if h.search {
		second := content.Components[0]
		second.Name = "search"
		if h.needs {
			second.DependsOn = []towpath.ComponentName{content.Components[0].Name}
		}
		content.Components = append(content.Components, second)
	}
	for _, e := range append([]towpath.EnvironmentSpec{
		{Name: "dev", Promotion: cmp.Or(h.dev, towpath.PromotionAutomatic), Place: cmp.Or(h.place, "local"), Gates: h.gates, Concurrent: h.concurrent},
		{Name: "staging", From: "dev", Branch: "staging", Promotion: cmp.Or(h.staging, towpath.PromotionAutomatic), Place: "local"},
		{
			Name: "prod", From: "staging", Branch: "production", Promotion: towpath.PromotionAutomatic, Place: "local",
			Gates: towpath.GateRules{Approvals: &towpath.ApprovalRule{Count: 1}},
		},
	}, h.more...) {
		e.Retention, e.Region = cmp.Or(e.Retention, h.retention), h.regions[e.Name]
		spec := json.RawMessage(fmt.Sprintf(`{"greeting":%q}`, what+" in "+string(e.Name)))
		env := towpath.ReleaseEnvironment{Rules: e}
		for _, c := range content.Components {
			env.Components = append(env.Components, towpath.RenderedComponent{
				Name: c.Name, Spec: spec, Revision: towpath.RevisionOf(towpath.KindProcess, towpath.DigestOf(layer), spec),
			})
		}
		content.Environments = append(content.Environments, env)
	}
	enc, err := oci.Encode(content)
	must(h.t, 0, err)
	return [][]byte{layer, enc.Content}, release.PublishRequest{
		Project: h.in(), Manifest: enc.Manifest, Provenance: h.provenance(enc.Digest, version), Commit: commit, Ref: cmp.Or(h.ref, "main"), Version: version,
	}
}

// submit uploads and publishes a release.
func (h *harness) submit(blobs [][]byte, r release.PublishRequest) (release.Published, error) {
	h.t.Helper()
	h.deposit(blobs)
	return h.svc.Releases.Publish(context.Background(), *cmp.Or(h.by, &h.ana), r)
}

func (h *harness) deposit(blobs [][]byte) {
	h.t.Helper()
	for _, b := range blobs {
		must(h.t, 0, h.svc.Releases.PutBlob(context.Background(), *cmp.Or(h.by, &h.ana), h.in(), towpath.DigestOf(b), bytes.NewReader(b)))
	}
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

// until waits until f holds. It looks ever more rarely: most of what f asks is made
// of many rows, and who asks all the time keeps the server from what is waited for.
func (h *harness) until(what string, f func() bool) {
	h.t.Helper()
	deadline := time.After(20 * time.Second)
	for pause := 10 * time.Millisecond; !f(); pause = min(2*pause, 160*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-deadline:
			h.t.Fatalf("never: %s\n%s", what, h.dump())
		}
	}
}

func (h *harness) dump() string {
	st, err := h.svc.Inventory.Status(context.Background(), h.ana, h.in(), "")
	b, _ := json.MarshalIndent(st, "", " ")
	l, _ := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: h.in()})
	c, _ := json.MarshalIndent(l, "", " ")
	return fmt.Sprint(string(b), string(c), err)
}

func (h *harness) status(e towpath.EnvironmentName) inventory.Status {
	h.t.Helper()
	st, err := h.svc.Inventory.Status(context.Background(), h.ana, h.in(), e)
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
		l, err := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: h.in(), Environment: e})
		must(h.t, 0, err)
		i := slices.IndexFunc(l.Items, func(p towpath.Promotion) bool { return p.Version == version })
		if i >= 0 {
			found = l.Items[i]
		}
		return i >= 0 && found.Phase == phase && (phase != towpath.PromotionWaiting || len(found.Verdicts) > 0)
	})
	return found
}

// provenance is what a release is published with.
func (h *harness) provenance(d towpath.Digest, version string) []byte {
	if h.materials == "" {
		return statement(d, version)
	}
	return fmt.Appendf(nil, `{"subject":[{"digest":{"sha256":%q}}],"version":%q,"predicate":{"buildDefinition":{"resolvedDependencies":%s}}}`,
		d.Hex(), version, h.materials)
}

func statement(d towpath.Digest, version string) []byte {
	return fmt.Appendf(nil, `{"subject":[{"digest":{"sha256":%q}}],"version":%q}`, d.Hex(), version)
}
