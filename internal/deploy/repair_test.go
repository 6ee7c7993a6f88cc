package deploy

import (
	"context"
	"reflect"
	"testing"

	"github.com/towpath/towpath/internal/drift"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// drifting is an environment whose agent has been heard of, with what is known of
// the drift of its only component.
type drifting struct {
	*issuing
	runs rollout.Running
}

func (d *drifting) Update(ctx context.Context, f func(context.Context, Tx) error) error {
	return f(ctx, d)
}
func (d *drifting) View(ctx context.Context, f func(context.Context, Tx) error) error {
	return f(ctx, d)
}

func (d *drifting) LockEnvironment(context.Context, towpath.ProjectName, towpath.EnvironmentName) (towpath.Environment, error) {
	return towpath.Environment{Project: "shop", Name: "dev", Release: "two"}, nil
}

func (d *drifting) Running(context.Context, towpath.ProjectName, towpath.EnvironmentName) ([]rollout.Running, error) {
	return []rollout.Running{d.runs}, nil
}

func (d *drifting) Drifts(context.Context, towpath.ProjectName, towpath.EnvironmentName) ([]towpath.Drift, error) {
	return []towpath.Drift{d.drift}, nil
}

func (d *drifting) Freezes(context.Context, towpath.ProjectName) ([]towpath.Freeze, error) {
	return nil, nil
}

func (d *drifting) Session(context.Context, towpath.PlaceName) (Session, bool, error) {
	return Session{Seen: midnight}, true, nil
}

// reporting is a release whose components' drift is reported.
type reporting struct{}

func (reporting) Content(context.Context, towpath.ProjectName, towpath.Digest) (*towpath.ReleaseContent, error) {
	return &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{{Name: "api", Drift: towpath.DriftReport}}}, nil
}

func newDrifting() *drifting {
	return &drifting{
		issuing: &issuing{tally: newTally(), drift: towpath.Drift{
			Target: towpath.Target{Component: "api"}, Revision: "rev_1", State: towpath.DriftFound, Told: true,
			Differences: []towpath.Difference{{Kind: towpath.DiffersFile, Subject: "serve"}},
			Repairs:     []towpath.RepairAttempt{{Deployment: "dep_0", Ended: midnight, Failed: "an instance crashed"}},
		}},
		runs: rollout.Running{Component: "api", Revision: "rev_1"},
	}
}

// TestRepairs_Reconcile: what was seen of one revision decides nothing about another.
func TestRepairs_Reconcile(t *testing.T) {
	tx := newDrifting()
	loop := Repairs{New(Config{Drift: drift.Limits{}.WithDefaults()}, tx, reporting{}, nil, nil)}
	tx.runs.Revision = "rev_2"
	before := tx.drift
	if _, err := loop.Reconcile(t.Context(), "shop/dev", midnight); err != nil || !reflect.DeepEqual(tx.drift, before) {
		t.Errorf("drift of rev_1 where rev_2 runs: %v, %+v", err, tx.drift)
	}
	tx.runs.Revision = "rev_1"
	if _, err := loop.Reconcile(t.Context(), "shop/dev", midnight); err != nil || tx.drift.Why == "" {
		t.Errorf("drift of what runs: %v, %+v", err, tx.drift)
	}
}

// TestService_settle: after a deployment what was seen before it counts for
// nothing, also where the same revision runs again. What is told and how often it
// was repaired stays, of that revision.
func TestService_settle(t *testing.T) {
	for runs, repairs := range map[towpath.RevisionID]int{"rev_1": 1, "rev_2": 0} {
		tx := newDrifting()
		tx.runs.Revision, tx.runs.Unsure = runs, true
		d := towpath.Deployment{ID: "dep_1", Phase: towpath.DeploymentSucceeded, Components: []towpath.Rollout{{Component: "api"}}}
		if err := New(Config{}, nil, nil, nil, nil).settle(t.Context(), tx, &d); err != nil {
			t.Fatal(err)
		}
		got := tx.drift
		if got.State != towpath.DriftNone || got.Revision != runs || !got.Told || len(got.Differences) > 0 || len(got.Repairs) != repairs {
			t.Errorf("where %s runs: %+v", runs, got)
		}
	}
}
