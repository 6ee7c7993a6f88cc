package promote_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// world is one candidate that waits to get from dev into prod, and nothing in its way.
type world struct {
	*promote.Service
	store  *store.Store
	now    time.Time
	events map[string]int
	during func() // runs once, while evidence is gathered
	lost   []towpath.LostPart
	unread error // why the content can't be read
}

func (w *world) Append(_ context.Context, _ *sqldb.Tx, ev towpath.Event) error {
	w.events[ev.Action]++
	return nil
}

func (w *world) Content(context.Context, towpath.ProjectName, towpath.Digest) (*towpath.ReleaseContent, error) {
	return &towpath.ReleaseContent{Project: "shop", Environments: []towpath.ReleaseEnvironment{{Rules: towpath.EnvironmentSpec{Name: "prod", Place: "local"}}}}, w.unread
}

func (w *world) Lost(context.Context, towpath.ProjectName, towpath.Digest, towpath.EnvironmentName) ([]towpath.LostPart, error) {
	return w.lost, nil
}

func (w *world) Statements(context.Context, towpath.ProjectName, towpath.EnvironmentName, towpath.Digest) ([]towpath.Attestation, error) {
	if f := w.during; f != nil {
		w.during = nil
		f()
	}
	return nil, nil
}

func (w *world) PublicKeys(context.Context, towpath.ProjectName, towpath.EnvironmentName) (map[towpath.KeyName]string, error) {
	return nil, nil
}

func (w *world) Authorise(towpath.Authorisation) (string, error) { return "signed", nil }

// repositories are those of projects whose git has nothing to say.
type repositories struct{}

func (repositories) Has(context.Context, towpath.ProjectName) (bool, error) { return true, nil }
func (repositories) Authors(context.Context, towpath.ProjectName, towpath.CommitID, towpath.CommitID) ([]towpath.CommitAuthor, error) {
	return nil, nil
}

func (repositories) Foreign(context.Context, towpath.ProjectName, string, towpath.CommitID, func(towpath.CommitID) bool) ([]towpath.CommitAuthor, []towpath.CommitID, error) {
	return nil, nil, nil
}

func (repositories) PlanAdvance(context.Context, towpath.RefMove, func(towpath.CommitID) bool) (json.RawMessage, towpath.CommitID, error) {
	return nil, "", nil
}
func (repositories) Advance(context.Context, towpath.RefMove) error           { return nil }
func (repositories) SetEnvironmentRef(context.Context, towpath.RefMove) error { return nil }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newWorld makes it with these gates of prod.
func newWorld(t *testing.T, gates towpath.GateRules) *world {
	w := &world{now: time.Now().Truncate(time.Microsecond), events: map[string]int{}}
	w.store = store.New(dbtest.SQLite(t), w, nil)
	w.Service = promote.New(promote.Config{Now: func() time.Time { return w.now }}, store.For[promote.Tx](w.store), w, w, w, nil, repositories{})
	d := towpath.HashOf("release", "1")
	began := w.now.Add(-time.Hour)
	c := towpath.Candidate{
		ID: towpath.CandidateOf(d, d, "c"), Project: "shop", Release: d, Provenance: d, Commit: towpath.CommitID(d.Hex()[:40]), Version: "1.0.0", Published: began,
	}
	rules := towpath.EnvironmentSpec{Name: "prod", Place: "local", From: "dev", Promotion: towpath.PromotionAutomatic, Gates: gates}
	w.update(t, func(ctx context.Context, tx *store.Tx) error {
		ok(t, tx.InsertProject(ctx, towpath.Project{Name: "shop", CreatedAt: began}))
		ok(t, tx.InsertRelease(ctx, towpath.Release{Digest: d, Project: "shop", Published: began}, d))
		ok(t, tx.InsertVersion(ctx, towpath.VersionLabel{Project: "shop", Version: c.Version, Release: d, Published: began}))
		_, err := tx.InsertCandidate(ctx, c)
		ok(t, err)
		for i, e := range []towpath.EnvironmentSpec{{Name: "dev", Place: "local"}, rules} {
			_, err := tx.InsertEnvironment(ctx, towpath.Environment{
				Project: "shop", Name: e.Name, Position: i, Rules: e, Opened: &towpath.Opening{Place: e.Place, By: "ana", At: began},
			})
			ok(t, err)
		}
		ok(t, tx.SaveRun(ctx, towpath.Run{Project: "shop", Environment: "dev", Candidate: c.ID, Release: d, Version: c.Version, Deployment: "dep_dev", Began: began, Verified: true}))
		ok(t, tx.SaveCheck(ctx, towpath.Check{Project: "shop", Candidate: c.ID, Key: "ci", State: towpath.CheckSuccess, At: began}))
		return tx.InsertPromotion(ctx, towpath.Promotion{
			ID: "prm_1", Project: "shop", Environment: "prod", Candidate: c.ID, Release: d, Version: c.Version, Commit: c.Commit,
			Mode: towpath.PromotionAutomatic, RequestedBy: "towpath", RequestedAt: began, Phase: towpath.PromotionWaiting,
			Plan: towpath.PlanOf("", []towpath.ComponentPlan{}, began), UpdatedAt: began,
		})
	})
	return w
}

func (w *world) update(t *testing.T, f func(context.Context, *store.Tx) error) {
	t.Helper()
	ok(t, w.store.Update(t.Context(), f))
}

// judge takes the promotion one step on, and says how soon to come back.
func (w *world) judge(t *testing.T) (towpath.Promotion, reconcile.Result) {
	t.Helper()
	after, err := promote.Promotions{Service: w.Service}.Reconcile(t.Context(), "prm_1", w.now)
	ok(t, err)
	p, err := w.Get(t.Context(), everybody(), "prm_1")
	ok(t, err)
	return p, after
}

func everybody() towpath.Actor {
	a := towpath.Actor{Account: "ana"}
	for _, r := range towpath.Roles() {
		a.Grants = append(a.Grants, towpath.Grant{Role: r})
	}
	return a
}

func TestPromotions_judge(t *testing.T) {
	gates := towpath.GateRules{Checks: []string{"ci"}}
	for name, meanwhile := range map[string]func(t *testing.T, w *world){
		"an emergency stop": func(t *testing.T, w *world) {
			_, err := w.Freeze(t.Context(), everybody(), promote.FreezeRequest{Reason: "stop all", Emergency: true})
			ok(t, err)
		},
		"a freeze": func(t *testing.T, w *world) {
			w.now = w.now.Add(time.Second) // gathering takes a while
			_, err := w.Freeze(t.Context(), everybody(), promote.FreezeRequest{Project: "shop", Environment: "prod", Reason: "not now"})
			ok(t, err)
		},
		"a hold": func(t *testing.T, w *world) {
			ok(t, w.Hold(t.Context(), everybody(), "shop", "prod", "wait"))
		},
		"a check that failed": func(t *testing.T, w *world) {
			_, err := w.PostCheck(t.Context(), everybody(), promote.CheckRequest{Project: "shop", Release: "1.0.0", Environment: "prod", Key: "ci", State: towpath.CheckFailure})
			ok(t, err)
		},
		"a doubt where it ran before": func(t *testing.T, w *world) {
			w.update(t, func(ctx context.Context, tx *store.Tx) error {
				runs, err := tx.Runs(ctx, "shop", "dev", 1)
				ok(t, err)
				runs[0].Verified, runs[0].Doubt = false, "a later verification failed"
				return tx.SaveRun(ctx, runs[0])
			})
		},
		"a key": func(t *testing.T, w *world) {
			w.update(t, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertTrustedKey(ctx, towpath.TrustedKey{Name: "k", ID: "k", Project: "shop", AddedAt: w.now})
			})
		},
	} {
		t.Run(name+" that comes while evidence is gathered is heeded", func(t *testing.T) {
			w := newWorld(t, gates)
			w.during = func() { meanwhile(t, w) }
			got, after := w.judge(t)
			if got.Phase != towpath.PromotionWaiting || got.Deployment != "" {
				t.Fatalf("judged on what was: %s, %s", got.Phase, got.Reason)
			}
			if after != reconcile.After(0) {
				t.Errorf("comes back %v, wanted: at once", after)
			}
			again, _ := w.judge(t)
			want := towpath.PromotionWaiting
			switch name {
			case "a key":
				want = towpath.PromotionDeploying
			case "a doubt where it ran before":
				want = towpath.PromotionDenied
			}
			if again.Phase != want {
				t.Errorf("judged again it is %s (%s), wanted %s", again.Phase, again.Reason, want)
			}
		})
	}
	t.Run("what nothing stands in the way of is deployed", func(t *testing.T) {
		if got, _ := newWorld(t, gates).judge(t); got.Phase != towpath.PromotionDeploying {
			t.Errorf("it is %s: %s", got.Phase, got.Reason)
		}
	})
}

// TestPromotions_wait: a promotion that waits writes an event when what is said of it
// is new, and the time that passes is not.
func TestPromotions_wait(t *testing.T) {
	w := newWorld(t, towpath.GateRules{Age: 30 * 24 * time.Hour, Soak: 2 * time.Hour, Checks: []string{"ci", "load"}})
	for range 60 {
		if got, _ := w.judge(t); got.Phase != towpath.PromotionWaiting {
			t.Fatalf("it is %s: %s", got.Phase, got.Reason)
		}
		w.now = w.now.Add(20 * time.Second)
	}
	if n := w.events["promotion.judged"]; n != 1 {
		t.Errorf("%d events of twenty minutes of waiting", n)
	}
}

// TestPromotions_lost: what is lost of a release keeps it from being deployed, until
// it is there again, and the promotion says what helps.
func TestPromotions_lost(t *testing.T) {
	gates := towpath.GateRules{Checks: []string{"ci"}}
	there := func(t *testing.T, w *world) {
		t.Helper()
		w.lost, w.unread = nil, nil
		if got, _ := w.judge(t); got.Phase != towpath.PromotionDeploying {
			t.Errorf("what is there again is %s: %s", got.Phase, got.Reason)
		}
	}
	t.Run("a layer", func(t *testing.T) {
		w := newWorld(t, gates)
		w.lost = []towpath.LostPart{{What: "the layer of api", Digest: "sha256:layer"}}
		if got, _ := w.judge(t); got.Phase != towpath.PromotionWaiting || !strings.Contains(got.Reason, "the server has lost the layer of api (sha256:layer) of 1.0.0") {
			t.Fatalf("it is %s: %s", got.Phase, got.Reason)
		}
		there(t, w)
	})
	gone := towpath.E(towpath.KindNotFound, "test", "there is no blob").WithHint("repair it")
	t.Run("the content", func(t *testing.T) {
		w := newWorld(t, gates)
		w.lost, w.unread = []towpath.LostPart{{What: "the content", Digest: "sha256:content"}}, gone
		got, _ := w.judge(t)
		if got.Phase != towpath.PromotionWaiting || !strings.Contains(got.Reason, "the content (sha256:content)") {
			t.Fatalf("it is %s: %s", got.Phase, got.Reason)
		}
		i := slices.IndexFunc(got.Verdicts, func(v towpath.Verdict) bool { return v.Gate == towpath.GateCompatibility })
		if v := got.Verdicts[i]; v.Outcome != towpath.Wait || v.Hint != "repair it" {
			t.Errorf("nobody knows what it needs to find, and the gate says %s: %s", v.Outcome, v.Hint)
		}
		there(t, w)
	})
	t.Run("before it is planned", func(t *testing.T) {
		w := newWorld(t, gates)
		w.update(t, func(ctx context.Context, tx *store.Tx) error {
			p, err := tx.LockPromotion(ctx, "prm_1")
			ok(t, err)
			p.Phase, p.Plan = towpath.PromotionPlanning, nil
			return tx.SavePromotion(ctx, p)
		})
		w.unread = gone
		if _, err := (promote.Promotions{Service: w.Service}).Reconcile(t.Context(), "prm_1", w.now); !errors.Is(err, gone) {
			t.Fatalf("the error is %v", err)
		}
		p, err := w.Get(t.Context(), everybody(), "prm_1")
		ok(t, err)
		if p.Phase != towpath.PromotionPlanning || p.Reason != "there is no blob; repair it" {
			t.Errorf("it is %s: %q", p.Phase, p.Reason)
		}
	})
}
