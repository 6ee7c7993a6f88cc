package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// worker is an agent of a project in the place eu, by hand. Its grants are all
// that keeps it from what is another's: it has the session of the place.
type worker struct {
	*harness
	actor towpath.Actor
}

func (h *harness) worker(p towpath.ProjectName) *worker {
	return &worker{h, towpath.Actor{Account: "host", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleAgent, Project: p, Place: "eu"}}}}
}

func (w *worker) hello(fences ...agentrpc.TargetFence) {
	w.t.Helper()
	_, err := w.s.agents.Hello(context.Background(), w.actor, agentrpc.HelloRequest{Place: "eu", Agent: "host", Session: "session-eu", Journal: agentrpc.JournalSummary{Fences: fences}})
	must(w.t, 0, err)
}

// claim takes one operation; nil when there is none.
func (w *worker) claim() *towpath.Operation {
	w.t.Helper()
	ops, err := w.s.agents.Claim(context.Background(), w.actor, agentrpc.ClaimRequest{Session: "session-eu", Max: 1, Wait: time.Millisecond})
	must(w.t, 0, err)
	if len(ops) == 0 {
		return nil
	}
	return &ops[0]
}

func (w *worker) finish(op *towpath.Operation) error {
	res := towpath.OperationResult{Status: towpath.ResultDone}
	if op.Verb == towpath.VerbPlan {
		res.Plan = &towpath.ComponentPlan{
			Component: op.Target.Component, Kind: op.Spec.Kind, Action: towpath.ActionReplace, From: op.Spec.Previous, To: op.Spec.Revision, Hash: op.SpecDigest,
		}
	}
	_, err := w.s.agents.deploys.Finish(context.Background(), w.actor, op.ID, op.Fence, res)
	return err
}

// brings works until dev runs a version.
func (w *worker) brings(version string) {
	w.t.Helper()
	w.until("dev runs "+version, func() bool {
		if op := w.claim(); op != nil {
			must(w.t, 0, w.finish(op))
		}
		st := w.status("dev")
		return st.Version == version && st.Deployment == nil
	})
}

// reads reports whether the worker is given each blob.
func (w *worker) reads(want bool, blobs map[string]towpath.Digest) {
	w.t.Helper()
	for name, d := range blobs {
		r, _, err := w.s.agents.OpenBlob(context.Background(), w.actor, d)
		if err == nil {
			r.Close()
		}
		if want && err != nil || !want && towpath.KindOf(err) != towpath.KindForbidden {
			w.t.Errorf("%s of %s: %v", w.actor.Grants[0].Project, name, err)
		}
	}
}

// blobs are those of a release.
func (h *harness) blobs(x towpath.Candidate, what string) map[string]towpath.Digest {
	h.t.Helper()
	raw, err := readBlob(context.Background(), h, x.Release)
	must(h.t, 0, err)
	m, err := oci.ParseManifest(raw)
	must(h.t, 0, err)
	return map[string]towpath.Digest{"the layer " + what: layer(what), "the release " + what: x.Release, "the content " + what: m.Config.Digest}
}

func (h *harness) view(f func(ctx context.Context, tx *store.Tx) error) {
	h.t.Helper()
	must(h.t, 0, h.s.store.View(context.Background(), f))
}

// TestServer_AgentsWorkWithinTheirGrants: an agent of one project has nothing to
// do with another's, in the same place and even with its session.
func TestServer_AgentsWorkWithinTheirGrants(t *testing.T) {
	ctx := t.Context()
	h := newHarness(t)
	h.place = "eu"
	_, err := h.svc.Projects.Register(ctx, h.ana, "billing", h.repo.Dir)
	must(t, 0, err)
	ours, theirs := h.worker(shop), h.worker("billing")
	target := towpath.Target{Project: shop, Environment: "dev", Component: "api", Place: "eu", Slot: towpath.SlotMain}
	plan := target
	plan.Slot = "plan"
	theirs.hello(agentrpc.TargetFence{Target: plan, Fence: 1 << 60})
	first := h.publish("1.0.0", "one")
	var asked *towpath.Operation
	h.until("the agent is asked for a plan", func() bool { asked = ours.claim(); return asked != nil })
	if asked.Fence >= 1<<60 {
		t.Error("an agent of billing raised a fence of shop")
	}
	ours.reads(true, h.blobs(first, "one"))
	theirs.reads(false, h.blobs(first, "one"))
	h.worker("").reads(true, h.blobs(first, "one"))
	if op := theirs.claim(); op != nil {
		t.Errorf("an agent of billing was given %s of %s", op.Verb, op.Target.Key())
	}

	t.Run("what another works on is not to be renewed, reported or ended", func(t *testing.T) {
		renewed, err := theirs.s.agents.Renew(ctx, theirs.actor, agentrpc.RenewRequest{Session: "session-eu", Operations: []agentrpc.OperationFence{{Operation: asked.ID, Fence: asked.Fence}}})
		must(t, 0, err)
		if renewed.Results[0].Status != agentrpc.RenewCancelled {
			t.Errorf("renewed: %+v", renewed.Results)
		}
		if err := h.s.agents.Report(ctx, theirs.actor, agentrpc.ReportRequest{Operation: asked.ID, Fence: asked.Fence, Seq: 1, Message: "no"}); towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("reported: %v", err)
		}
		if err := theirs.finish(asked); towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("ended: %v", err)
		}
		theirs.hello() // holds nothing: what its session claimed is offered again
		h.view(func(ctx context.Context, tx *store.Tx) error {
			ops, err := tx.OpenOperations(ctx, []towpath.PlaceName{"eu"}, string(asked.ID))
			if len(ops) != 1 || !ops[0].LeaseUntil.After(time.Now()) {
				t.Errorf("its lease was ended: %+v", ops)
			}
			return err
		})
	})
	must(t, 0, ours.finish(asked))
	ours.brings("1.0.0")

	t.Run("operations of others are no queue before one's own", func(t *testing.T) {
		h.publish("1.1.0", "two") // is asked for before
		h.until("a plan of shop is asked for", func() (found bool) {
			h.view(func(ctx context.Context, tx *store.Tx) error {
				ops, err := tx.OpenOperations(ctx, []towpath.PlaceName{"eu"}, string(layer("two")))
				found = len(ops) > 0
				return err
			})
			return found
		})
		h.project = "billing"
		x := h.publish("1.0.0", "three")
		var op *towpath.Operation
		h.until("the agent of billing has its own", func() bool { op = theirs.claim(); return op != nil })
		if op.Target.Project != "billing" {
			t.Errorf("it was given %s", op.Target.Key())
		}
		theirs.reads(true, h.blobs(x, "three"))
		ours.reads(false, h.blobs(x, "three"))
		must(t, 0, theirs.finish(op))
		theirs.brings("1.0.0")
		h.project = shop
		ours.brings("1.1.0")
	})

	t.Run("files are read as long as something needs them", func(t *testing.T) {
		ours.reads(true, map[string]towpath.Digest{"the layer that runs": layer("two")})
		ours.reads(false, map[string]towpath.Digest{"the layer of before": layer("one"), "the release of before": first.Release})
		theirs.reads(true, map[string]towpath.Digest{"the layer that runs": layer("three")})
		theirs.reads(false, map[string]towpath.Digest{"the layer of shop": layer("two")})
	})

	t.Run("an agent sees, counts and samples what it may work on", func(t *testing.T) {
		other := target
		other.Project = "billing"
		never := target
		never.Component = "never-deployed"
		seen := func() (keys []string) {
			h.view(func(ctx context.Context, tx *store.Tx) error {
				for _, p := range []towpath.ProjectName{"billing", shop} {
					all, err := tx.Observations(ctx, p)
					if err != nil {
						return err
					}
					for _, o := range all {
						keys = append(keys, o.Target.Key()+" "+string(o.Health))
					}
				}
				return nil
			})
			return keys
		}
		drifts := func(p towpath.ProjectName) (n int) {
			h.view(func(ctx context.Context, tx *store.Tx) error {
				all, err := tx.Drifts(ctx, p, "")
				n = len(all)
				return err
			})
			return n
		}
		h.project = "billing"
		runs := h.status("dev").Components[0].Revision
		h.project = shop
		all := []towpath.Observation{
			{Target: target, Health: towpath.HealthUnhealthy, Revision: "rev_x"}, {Target: never, Health: towpath.HealthHealthy},
			{Target: other, Health: towpath.HealthHealthy, Revision: runs, Address: "127.0.0.1:80", Instances: 1, Wanted: 1},
		}
		must(t, 0, h.s.agents.Observe(ctx, theirs.actor, agentrpc.ObserveRequest{Session: "session-eu", Observations: all}))
		if d := cmp.Diff([]string{other.Key() + " healthy"}, seen()); d != "" {
			t.Error(d)
		}
		if n := drifts(shop); n != 0 {
			t.Errorf("what an agent of billing did not see of shop, or said of it, is drift: %d", n)
		}
		must(t, 0, h.s.agents.Observe(ctx, ours.actor, agentrpc.ObserveRequest{Session: "session-eu", Observations: all}))
		if d := cmp.Diff([]string{other.Key() + " healthy", target.Key() + " unhealthy"}, seen()); d != "" {
			t.Error(d)
		}
		if drifts(shop) != 1 || drifts("billing") != 0 {
			t.Errorf("%d of shop and %d of billing have drifted", drifts(shop), drifts("billing"))
		}
		set := func(t towpath.Target) towpath.SampleSet {
			return towpath.SampleSet{Target: t, Series: []towpath.MetricSample{{Value: 1, Labels: map[string]string{"__name__": "a"}}}}
		}
		must(t, 0, h.s.agents.Sample(ctx, theirs.actor, agentrpc.SampleRequest{Session: "session-eu", Sets: []towpath.SampleSet{set(target), set(other)}}))
		got := answered(t)(h.s.metrics.Query(ctx, "a", time.Now()))
		if len(got) != 1 || got[0].Labels["project"] != "billing" {
			t.Errorf("it was sampled: %v", got)
		}
	})
}

// TestServer_AgentsReadTheEvidence: an agent is given the evidence that its
// operations name where evidence is named, and nothing for its mere mention.
func TestServer_AgentsReadTheEvidence(t *testing.T) {
	h := newHarness(t)
	w := h.worker(shop)
	w.hello()
	blobs := map[string]towpath.Digest{}
	for _, what := range []string{"evidence", "signature", "mentioned"} {
		blobs[what] = towpath.DigestOf([]byte(what))
		must(t, 0, h.svc.Releases.PutBlob(t.Context(), h.ana, shop, blobs[what], bytes.NewReader([]byte(what))))
	}
	w.reads(false, blobs)
	secret, _, err := note.GenerateKey(rand.Reader, "test")
	must(t, "", err)
	key, err := note.NewSigner(secret)
	must(t, key, err)
	auth := towpath.Authorisation{Evidence: []towpath.Evidence{{Bundle: blobs["evidence"]}}, Signatures: []towpath.Digest{blobs["signature"]}}
	op := towpath.Operation{
		ID: "op_1", Deployment: "dep_1", Verb: towpath.VerbPrepare, Phase: towpath.OperationPending, RunAfter: time.Now().Add(time.Hour),
		Target: towpath.Target{Project: shop, Environment: "dev", Component: "api", Place: "eu", Slot: towpath.SlotMain},
		Spec:   towpath.OperationSpec{Rendered: json.RawMessage(`{"env":{"A":"` + string(blobs["mentioned"]) + `"}}`)},
	}
	op.Spec.Authorisation, err = signer{key}.Authorise(auth)
	must(t, 0, err)
	must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.InsertOperation(ctx, op)
		return err
	}))
	w.reads(false, map[string]towpath.Digest{"what is mentioned": blobs["mentioned"]})
	delete(blobs, "mentioned")
	w.reads(true, blobs)
	h.worker("billing").reads(false, blobs)
}
