package deploy_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

var (
	lost  = towpath.E(towpath.KindNotFound, "blob.get", "blob sha256:1 was not found").WithHint("scrub lists what is lost")
	away  = towpath.E(towpath.KindUnavailable, "blob.get", "the bucket is away")
	local = towpath.Target{Project: "shop", Environment: "prod", Component: "api", Place: "local", Slot: towpath.SlotMain}
	when  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	host  = towpath.Actor{Account: "agent", Grants: []towpath.Grant{{Role: towpath.RoleAgent}}}
)

// holding are releases of one component by its revision, and the errors of those
// that can't be read.
type holding map[towpath.Digest]any

func (h holding) Content(_ context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.ReleaseContent, error) {
	if err, ok := h[d].(error); ok {
		return nil, err
	}
	return &towpath.ReleaseContent{
		Project: p, Components: []towpath.ReleaseComponent{{Name: "api", Kind: towpath.KindProcess}},
		Environments: []towpath.ReleaseEnvironment{{
			Rules:      towpath.EnvironmentSpec{Name: "prod", Place: "local"},
			Components: []towpath.RenderedComponent{{Name: "api", Revision: towpath.RevisionID(h[d].(string))}},
		}},
	}, nil
}

// recorded are the actions of the events.
type recorded []string

func (r *recorded) Append(_ context.Context, _ *sqldb.Tx, ev towpath.Event) error {
	*r = append(*r, ev.Action)
	return nil
}

// deploying is a service whose environment prod runs revision two of release-2 as
// deployment dep_1 is to bring three.
func deploying(t *testing.T, contents holding) (*deploy.Service, func(func(context.Context, *store.Tx) error), *recorded) {
	t.Helper()
	events := &recorded{}
	s := store.New(dbtest.SQLite(t), events, nil)
	update := func(f func(context.Context, *store.Tx) error) {
		t.Helper()
		if err := s.Update(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	update(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertProject(ctx, towpath.Project{Name: "shop", CreatedAt: when}); err != nil {
			return err
		}
		if _, err := tx.InsertEnvironment(ctx, towpath.Environment{
			Project: "shop", Name: "prod", Active: "dep_1", Rules: towpath.EnvironmentSpec{Name: "prod", Place: "local"},
		}); err != nil {
			return err
		}
		if err := tx.InsertDeployment(ctx, towpath.Deployment{
			ID: "dep_1", Project: "shop", Environment: "prod", Kind: towpath.DeploymentPromotion, Release: "release-3", Phase: towpath.DeploymentPreparing,
			Components: []towpath.Rollout{{Component: "api", Kind: towpath.KindProcess, Action: towpath.ActionReplace, From: "two", To: "three", Timeout: time.Minute}},
			CreatedAt:  when, UpdatedAt: when,
		}); err != nil {
			return err
		}
		for i, r := range []towpath.Digest{"release-0", "release-1", "release-2"} {
			if err := tx.SaveRun(ctx, towpath.Run{
				Project: "shop", Environment: "prod", Release: r, Deployment: towpath.DeploymentID(r), Began: when.Add(time.Duration(i-5) * time.Hour),
			}); err != nil {
				return err
			}
		}
		return tx.SaveRunning(ctx, local, rollout.Running{Component: "api", Kind: towpath.KindProcess, Place: "local", Release: "release-2", Revision: "two"})
	})
	cfg := deploy.Config{Now: func() time.Time { return when }, Log: slog.New(slog.DiscardHandler)}
	return deploy.New(cfg, store.For[deploy.Tx](s), contents, nil, nil), update, events
}

// TestService_Finish_stale: what runs is looked for in what ran, as far as that can
// be read.
func TestService_Finish_stale(t *testing.T) {
	for name, tt := range map[string]struct {
		contents holding
		accepted bool
		runs     towpath.RevisionID
	}{
		"with a lost release in between":        {holding{"release-2": "two", "release-1": lost, "release-0": "zero"}, true, "zero"},
		"with one in between that is away":      {holding{"release-2": "two", "release-1": away, "release-0": "zero"}, true, "zero"},
		"when the release of what runs is lost": {holding{"release-2": "two", "release-1": "one", "release-0": lost}, true, "two"},
		"when the release of what runs is away": {holding{"release-2": "two", "release-1": "one", "release-0": away}, false, "two"},
		"when nobody knows the revision at all": {holding{"release-2": "two", "release-1": "one", "release-0": "0"}, true, "two"},
	} {
		t.Run(name, func(t *testing.T) {
			svc, update, _ := deploying(t, tt.contents)
			update(func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, towpath.Operation{
					ID: "op_1", Deployment: "dep_1", Verb: towpath.VerbPrepare, Target: local, Phase: towpath.OperationRunning, Fence: 1, CreatedAt: when,
				})
				return err
			})
			accepted, err := svc.Finish(t.Context(), host, "op_1", 1, towpath.OperationResult{
				Status: towpath.ResultStale, Message: "zero has the traffic", Outputs: map[string]string{"running": "zero"},
			})
			if (err == nil && accepted) != tt.accepted {
				t.Errorf("it is accepted: %v, %v", accepted, err)
			}
			update(func(ctx context.Context, tx *store.Tx) error {
				running, err := tx.Running(ctx, "shop", "prod")
				if err == nil && running[0].Revision != tt.runs {
					t.Errorf("the next plan starts from %s, want %s", running[0].Revision, tt.runs)
				}
				return err
			})
		})
	}
}

// TestService_Reconcile_unread: a deployment whose release can't be read says so,
// and goes on when it can.
func TestService_Reconcile_unread(t *testing.T) {
	contents := holding{}
	svc, update, events := deploying(t, contents)
	waits := func(want string, asks bool, asked int) {
		t.Helper()
		_, err := svc.Reconcile(t.Context(), "dep_1", when)
		if (err != nil) != (want != "") {
			t.Errorf("got %v", err)
		}
		update(func(ctx context.Context, tx *store.Tx) error {
			d, err := tx.Deployment(ctx, "dep_1")
			if err == nil && (d.Asks != asks || !strings.Contains(d.Waiting, want) || want == "" && strings.Contains(d.Waiting, "can't be read")) {
				t.Errorf("it waits for %q, asks: %v; want %q, %v", d.Waiting, d.Asks, want, asks)
			}
			return err
		})
		if n := len(slices.DeleteFunc(slices.Clone(*events), func(a string) bool { return a != "deployment.asks" })); n != asked {
			t.Errorf("it has asked %d times, want %d: %v", n, asked, *events)
		}
	}
	contents["release-3"] = lost
	waits("release-3 can't be read: blob sha256:1 was not found; scrub lists what is lost", true, 1)
	waits("release-3 can't be read", true, 1)
	contents["release-3"] = away
	waits("release-3 can't be read: the bucket is away", false, 1)
	contents["release-3"] = "three"
	waits("", false, 1)
}

// TestService_Reconcile_unreadForTooLong: what was stopped for a release is not away
// until somebody can read that again. Going back reads nothing.
func TestService_Reconcile_unreadForTooLong(t *testing.T) {
	contents := holding{"release-3": "three"}
	svc, update, events := deploying(t, contents)
	now := when
	step := func() (d towpath.Deployment, err error) {
		t.Helper()
		_, err = svc.Reconcile(t.Context(), "dep_1", now)
		update(func(ctx context.Context, tx *store.Tx) (err error) {
			d, err = tx.Deployment(ctx, "dep_1")
			return err
		})
		return d, err
	}
	later := func(by time.Duration, phase towpath.DeploymentPhase, unread time.Time) towpath.Deployment {
		t.Helper()
		now = now.Add(by)
		d, err := step()
		if (err != nil) != !unread.IsZero() || d.Phase != phase || !d.Unread.Equal(unread) {
			t.Fatalf("after %s it is %s, unread since %s, waits for %q: %v", now.Sub(when), d.Phase, d.Unread, d.Waiting, err)
		}
		return d
	}
	update(func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.LockDeployment(ctx, "dep_1")
		if err != nil {
			return err
		}
		r := &d.Components[0]
		r.Progress, r.Scales = 30*time.Minute, &towpath.Scales{Prepare: &towpath.Scale{}, Switch: &towpath.Scale{}, Restore: &towpath.Scale{}}
		r.Before = &towpath.Before{Release: "release-2", Layer: "layer-2"}
		if err := tx.SaveDeployment(ctx, d); err != nil {
			return err
		}
		_, err = tx.InsertOperation(ctx, towpath.Operation{
			ID: "op_1", Deployment: "dep_1", Verb: towpath.VerbPrepare, Target: local, Phase: towpath.OperationSucceeded, CreatedAt: when, BeganAt: when, EndedAt: when,
		})
		return err
	})
	contents["release-3"] = away
	later(time.Hour, towpath.DeploymentPreparing, when.Add(time.Hour)) // nobody had to read it before
	later(59*time.Second, towpath.DeploymentPreparing, when.Add(time.Hour))
	contents["release-3"] = "three"
	if d := later(0, towpath.DeploymentPreparing, time.Time{}); len(d.Components[0].Steps) != 2 {
		t.Fatalf("it does not go on: %+v", d.Components[0].Steps)
	}
	update(func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.Deployment(ctx, "dep_1")
		if err != nil {
			return err
		}
		verify, _ := d.Components[0].Find(towpath.VerbVerifyBefore)
		op, err := tx.LockOperation(ctx, verify.Operation)
		if err != nil {
			return err
		}
		op.Phase, op.EndedAt = towpath.OperationSucceeded, now
		return tx.SaveOperation(ctx, op)
	})
	later(time.Hour, towpath.DeploymentSwitching, time.Time{})
	contents["release-3"] = lost
	since := now.Add(time.Second)
	if d := later(time.Second, towpath.DeploymentSwitching, since); !d.Asks {
		t.Error("nobody is asked for what is lost")
	}
	d := later(time.Minute, towpath.DeploymentReverting, time.Time{})
	const why = "api has made no progress for 1m0s: switch could not begin, release release-3 can't be read: blob sha256:1 was not found"
	if !strings.HasPrefix(d.Cause, why) || d.Asks || d.Recovery == nil || !d.Recovery.Sign.Equal(since) {
		t.Errorf("it goes back for %q, asks: %v: %+v", d.Cause, d.Asks, d.Recovery)
	}
	if !slices.Contains(*events, "deployment.reverting") {
		t.Errorf("recorded are %v", *events)
	}
	d = later(0, towpath.DeploymentReverting, time.Time{})
	if restore, ok := d.Components[0].Find(towpath.VerbRestore); !ok || restore.Phase != towpath.OperationPending {
		t.Errorf("what was stopped is not started again: %+v", d.Components[0].Steps)
	}
}
