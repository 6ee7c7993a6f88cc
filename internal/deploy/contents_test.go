package deploy

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/towpath/towpath/internal/drift"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// unreadable are releases whose bytes nobody can read.
type unreadable struct{}

func (unreadable) Content(context.Context, towpath.ProjectName, towpath.Digest) (*towpath.ReleaseContent, error) {
	return nil, towpath.E(towpath.KindUnavailable, "blob.get", "the bucket is away")
}

// issuing keeps the operations that are issued, and the drift.
type issuing struct {
	*tally
	ops   []towpath.Operation
	drift towpath.Drift
}

func (i *issuing) InsertOperation(_ context.Context, op towpath.Operation) (bool, error) {
	i.ops = append(i.ops, op)
	return false, nil
}

func (i *issuing) SaveRunning(context.Context, towpath.Target, rollout.Running) error { return nil }
func (i *issuing) LockDrift(context.Context, towpath.Target) (towpath.Drift, error) {
	return i.drift, nil
}
func (i *issuing) SaveDrift(_ context.Context, d towpath.Drift) error {
	i.drift = d
	return nil
}

func TestService_issue(t *testing.T) {
	s := New(Config{}, nil, unreadable{}, nil, nil)
	reverting := towpath.Deployment{ID: "dep_1", Release: "bad", Phase: towpath.DeploymentReverting, Components: []towpath.Rollout{
		{Component: "api", From: "old", To: "new", Before: &towpath.Before{Release: "good", Layer: "layer"}},
	}}
	d := reverting
	issue := func(is rollout.Issue) ([]towpath.Operation, error) {
		tx := &issuing{tally: newTally()}
		err := s.withContents(t.Context(), func(ctx context.Context, f func(context.Context, Tx) error) error { return f(ctx, tx) }, "shop",
			func(ctx context.Context, tx Tx, c *contents) error {
				return s.issue(ctx, tx, c, &d, towpath.Environment{}, []rollout.Issue{is}, midnight)
			})
		return tx.ops, err
	}
	t.Run("takes back a release that can't be read", func(t *testing.T) {
		ops, err := issue(rollout.Issue{Component: "api", Verb: towpath.VerbRestore, Revision: "old"})
		if err != nil || len(ops) != 1 || ops[0].Spec.Release != "good" || ops[0].Spec.Layer != "layer" {
			t.Errorf("%+v, %v", ops, err)
		}
		if ops, err := issue(rollout.Issue{Component: "api", Verb: towpath.VerbRemove}); err != nil || len(ops) != 1 {
			t.Errorf("remove: %+v, %v", ops, err)
		}
	})
	t.Run("brings none", func(t *testing.T) {
		if ops, err := issue(rollout.Issue{Component: "api", Verb: towpath.VerbPrepare, Revision: "new"}); towpath.KindOf(err) != towpath.KindUnavailable || len(ops) > 0 {
			t.Errorf("%+v, %v", ops, err)
		}
	})
	t.Run("says of what users wait for that it goes back", func(t *testing.T) {
		for _, tt := range []struct {
			kind  towpath.DeploymentKind
			phase towpath.DeploymentPhase
			is    rollout.Issue
			want  bool
		}{
			{towpath.DeploymentPromotion, towpath.DeploymentReverting, rollout.Issue{Verb: towpath.VerbRemove}, true}, // of what it had created
			{towpath.DeploymentRollback, towpath.DeploymentReverting, rollout.Issue{Verb: towpath.VerbRemove}, true},
			{towpath.DeploymentPromotion, towpath.DeploymentRetiring, rollout.Issue{Verb: towpath.VerbRemove}, false},
			{towpath.DeploymentRollback, towpath.DeploymentRetiring, rollout.Issue{Verb: towpath.VerbRemove}, false},
			{towpath.DeploymentRollback, towpath.DeploymentPreparing, rollout.Issue{Verb: towpath.VerbPrepare, Revision: "old"}, true},
			{towpath.DeploymentPromotion, towpath.DeploymentPreparing, rollout.Issue{Verb: towpath.VerbPrepare, Revision: "old"}, false},
		} {
			d = reverting
			d.Kind, d.Phase, tt.is.Component = tt.kind, tt.phase, "api"
			if ops, err := issue(tt.is); err != nil || len(ops) != 1 || ops[0].Spec.Back != tt.want {
				t.Errorf("%s of a %s that is %s: %+v, %v; want back: %t", tt.is.Verb, tt.kind, tt.phase, ops, err, tt.want)
			}
		}
	})
}

func TestService_repairEnded(t *testing.T) {
	tx := &issuing{tally: newTally(), drift: towpath.Drift{State: towpath.DriftRepairing, Repairs: []towpath.RepairAttempt{{Deployment: "dep_1"}}}}
	s := New(Config{Drift: drift.Limits{}}, nil, unreadable{}, nil, nil)
	d := towpath.Deployment{ID: "dep_1", Phase: towpath.DeploymentSucceeded, Components: []towpath.Rollout{{Component: "api"}}}
	if err := s.repairEnded(t.Context(), tx, &d, midnight); err != nil || tx.drift.State == towpath.DriftRepairing {
		t.Errorf("a repair ends although its release can't be read: %v, the drift is %s", err, tx.drift.State)
	}
}

// inside knows whether a transaction is open.
type inside struct {
	open           bool
	times, commits int
}

func (i *inside) run(ctx context.Context, f func(context.Context, Tx) error) error {
	i.open = true
	i.times++
	defer func() { i.open = false }()
	err := f(ctx, nil)
	if err == nil {
		i.commits++
	}
	return err
}

// outside are contents that must not be read while a transaction is open.
type outside struct {
	*inside
	t *testing.T
}

func (o outside) Content(_ context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.ReleaseContent, error) {
	if o.open {
		o.t.Errorf("release %s is read while a transaction is open", d)
	}
	if d == "gone" {
		return nil, errors.New("gone")
	}
	return &towpath.ReleaseContent{
		Project: p, Requires: []towpath.Requirement{{Versions: string(d)}}, Environments: []towpath.ReleaseEnvironment{{Rules: towpath.EnvironmentSpec{Name: "prod"}}},
	}, nil
}

func TestService_withContents(t *testing.T) {
	in := &inside{}
	s := New(Config{}, nil, outside{in, t}, nil, nil)
	wrote := 0
	err := s.withContents(t.Context(), in.run, "shop", func(_ context.Context, _ Tx, c *contents) error {
		if _, err := c.of("gone"); err != nil && c.lacks == "" && err.Error() != "gone" {
			t.Errorf("what can't be read: %v", err)
		}
		got, err := c.of("a")
		if err != nil {
			return err
		}
		if got.Requires[0].Versions != "a" {
			t.Errorf("it reads %+v", got)
		}
		if c.lacks == "" {
			wrote++
		}
		return nil
	})
	if err != nil || wrote != 1 || in.commits != 1 || in.times != 3 {
		t.Errorf("whole %d times, committed %d times in %d transactions: %v", wrote, in.commits, in.times, err)
	}
}

// goingBack is an environment into which a deployment is under way.
type goingBack struct{ Tx }

func (goingBack) Environment(context.Context, towpath.ProjectName, towpath.EnvironmentName) (towpath.Environment, error) {
	return towpath.Environment{Project: "shop", Name: "prod", Release: "good", Version: "1.0.0", Active: "dep_2"}, nil
}

func (goingBack) Deployment(context.Context, towpath.DeploymentID) (towpath.Deployment, error) {
	return towpath.Deployment{ID: "dep_2", Kind: towpath.DeploymentPromotion, Release: "gone", Version: "1.1.0"}, nil
}

func (goingBack) Runs(context.Context, towpath.ProjectName, towpath.EnvironmentName, int) ([]towpath.Run, error) {
	return []towpath.Run{{Release: "good", Version: "1.0.0", Verified: true}}, nil
}

func (goingBack) Quarantine(context.Context, towpath.ProjectName, towpath.Digest) (*towpath.Quarantine, error) {
	return nil, nil
}

func (goingBack) Collected(context.Context, towpath.ProjectName, towpath.Digest) (bool, error) {
	return false, nil
}

func (goingBack) Running(context.Context, towpath.ProjectName, towpath.EnvironmentName) ([]rollout.Running, error) {
	return []rollout.Running{{Component: "api", Revision: "rev_1"}}, nil
}

func TestService_rollback(t *testing.T) {
	in := &inside{}
	s := New(Config{Log: slog.New(slog.DiscardHandler)}, nil, outside{in, t}, nil, nil)
	err := s.withContents(t.Context(), in.run, "shop", func(ctx context.Context, _ Tx, c *contents) error {
		out, err := s.rollback(ctx, goingBack{}, c, towpath.System(), RollbackRequest{Project: "shop", Environment: "prod", DryRun: true}, "dep_3", midnight)
		if err == nil && c.lacks == "" && (out.ToVersion != "1.0.0" || out.FromVersion != "1.1.0") {
			t.Errorf("it goes from %s to %s", out.FromVersion, out.ToVersion)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
