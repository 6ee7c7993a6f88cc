package server

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// nothingSaid is when nobody has said anything about a release.
type nothingSaid struct{}

func (nothingSaid) Statements(context.Context, towpath.ProjectName, towpath.EnvironmentName, towpath.Digest) ([]towpath.Attestation, error) {
	return nil, nil
}

// copier is the loop over the copies of a server whose loops do not run.
func (h *harness) copier(blobs blob.Store) *replication.Service {
	return replication.New(replication.Config{
		Now: time.Now, Said: nothingSaid{},
		Connect: func(r towpath.ReplicationRule) (replication.Target, error) { return dial(r.To) },
	}, store.For[replication.Tx](h.s.store), blobs)
}

// copiedFirst checks that a release was copied before it was deployed. By when it
// runs it may be behind again, for how its promotion ended.
func (h *harness) copiedFirst(rule towpath.ReplicationName, e towpath.EnvironmentName, version string) {
	h.t.Helper()
	release := h.promotion(e, version, towpath.PromotionSucceeded).Release
	seq := func(action string, about func(towpath.Event) bool) int64 {
		for _, x := range h.events(action) {
			if x.Event.Release == release && about(x.Event) {
				return x.Seq
			}
		}
		return math.MaxInt64
	}
	copied := seq("replication.done", func(ev towpath.Event) bool { return ev.Subject == string(rule) })
	began := seq("promotion.deploying", func(ev towpath.Event) bool { return ev.Environment == e })
	if copied > began || began == math.MaxInt64 {
		h.t.Errorf("%s deploys %s with entry %d, and %s has it with entry %d", e, version, began, rule, copied)
	}
}

// TestReplication_OfWhatIsPublishedAgain: content that was known before there was
// a rule is published under another version since.
func TestReplication_OfWhatIsPublishedAgain(t *testing.T) {
	h, blobs := still(t)
	e := newElsewhere(t)
	one := h.publish("1.3.0", "one")
	must(t, 0, h.copyTo(e, "eu", ""))
	if st := h.copies("eu"); len(st.Behind) != 0 || st.Whole != 0 {
		t.Fatalf("what was published before is wanted: %+v", st)
	}
	loop := h.copier(blobs)
	for i, version := range []string{"1.4.0", "1.5.0"} {
		if again := h.publish(version, "one"); again.Release != one.Release {
			t.Fatalf("%s is another release", version)
		}
		if st := h.copies("eu"); len(st.Behind) != 1 || st.Whole != 0 || st.Lag.IsZero() {
			t.Errorf("%s is not behind before the loop has looked: %+v", version, st)
		}
		_, err := loop.Reconcile(t.Context(), "shop/eu", time.Now())
		must(t, 0, err)
		if st := h.copies("eu"); len(st.Behind) != 0 || st.Whole != 1 {
			t.Errorf("after copy %d: %+v", i, st)
		}
		if code, manifest := e.get(t, "manifests/"+version, towpath.MediaTypeManifest); code != 200 || towpath.DigestOf(manifest) != one.Release {
			t.Errorf("%s is %d there", version, code)
		}
	}
}

// TestReplication_OfWhatRunsAnywhere: what an environment runs when a rule is made
// is behind until it is there.
func TestReplication_OfWhatRunsAnywhere(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		e := newElsewhere(t)
		e.down.Store(true)
		h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		must(t, 0, h.copyTo(e, "eu", ""))
		if st := h.copies("eu"); len(st.Behind) != 1 || st.Lag.IsZero() {
			t.Errorf("dev runs what is not there, and the rule says %+v", st)
		}
		h.until("it is known why", func() bool { st := h.copies("eu"); return len(st.Behind) == 1 && st.Behind[0].Error != "" })
		e.down.Store(false)
		h.until("it is there", func() bool { return h.copies("eu").Whole == 1 })
	})
}

// TestReplication_OfWhatAGateWaitsFor: a release from before there was the rule
// that a gate asks for is copied because it is asked for, also by a rule that is
// about what runs elsewhere.
func TestReplication_OfWhatAGateWaitsFor(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.gates = towpath.GateRules{Replicated: []towpath.ReplicationName{"eu", "dr"}}
		h.publish("1.0.0", "one")
		h.reason("dev", "1.0.0", towpath.GateReplicated, "is not copied by dr: there is no such rule")
		must(t, 0, h.copyTo(newElsewhere(t), "eu", ""))
		must(t, 0, h.copyTo(newElsewhere(t), "dr", "staging"))
		h.runs("dev", "1.0.0")
		h.copiedFirst("eu", "dev", "1.0.0")
	})
}

// TestReplication_OfWhatIsWantedNoMore: something was attached to a release after
// it was copied and after its environment went on to the next one, so no rule is
// about it; a gate that waits for its copy has it copied again.
func TestReplication_OfWhatIsWantedNoMore(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.staging = towpath.PromotionManual
		key, pem := signingKey(t)
		must(t, 0, h.trusts("builder", pem))
		one := h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		must(t, 0, h.copyTo(newElsewhere(t), "eu", ""))
		h.until("what dev runs is there", func() bool { return h.copies("eu").Whole == 1 })
		h.publish("1.1.0", "two")
		h.runs("dev", "1.1.0")
		h.until("what dev runs now is there", func() bool { st := h.copies("eu"); return st.Whole == 2 && len(st.Behind) == 0 })
		must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			env, err := tx.LockEnvironment(ctx, shop, "staging")
			if err != nil {
				return err
			}
			env.Rules.Gates.Replicated = []towpath.ReplicationName{"eu"}
			return tx.SaveEnvironment(ctx, env)
		}))
		h.signs(h.registryAs("signer", towpath.RoleReleaser), key, one.Release)
		_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "staging", Release: "1.0.0"})
		must(t, 0, err)
		h.runs("staging", "1.0.0")
	})
}

// TestReplication_WhileAnAttemptHangs: what is published meanwhile is behind too,
// and since when the attempt is under way is known.
func TestReplication_WhileAnAttemptHangs(t *testing.T) {
	h, blobs := still(t)
	asked := make(chan struct{}, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- struct{}{}; <-r.Context().Done() }))
	t.Cleanup(srv.Close)
	must(t, 0, h.copyTo(&elsewhere{host: strings.TrimPrefix(srv.URL, "http://")}, "eu", ""))
	h.publish("1.0.0", "one")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := h.copier(blobs).Reconcile(ctx, "shop/eu", time.Now())
		ended <- err
	}()
	<-asked
	h.publish("1.1.0", "two")
	h.publish("1.2.0", "three")
	st := h.copies("eu")
	if len(st.Behind) != 3 || st.Behind[0].Trying.IsZero() || !st.Behind[1].Trying.IsZero() || !st.Lag.Equal(st.Behind[0].Since) {
		t.Errorf("the rule says %+v", st)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("an attempt that was stopped is no success")
	}
}
