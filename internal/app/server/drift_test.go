package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// TestServer_RepairsDrift: from an agent's observations to a repair and back.
func TestServer_RepairsDrift(t *testing.T) {
	t.Run("on SQLite", func(t *testing.T) { repairsDrift(t, newWatched(t, "", towpath.DriftRepair)) })
	t.Run("on PostgreSQL", func(t *testing.T) { repairsDrift(t, newWatched(t, dbtest.PostgresURL(t), towpath.DriftRepair)) })
}

func repairsDrift(t *testing.T, p *watched) {
	before := p.status("dev")
	if before.Drift != towpath.DriftNone {
		t.Fatalf("as deployed: %+v", before)
	}
	p.edit("dev")
	p.look(0)
	if d := p.drifted("dev"); d.State != towpath.DriftNone {
		t.Errorf("seen once: %+v", d)
	}
	p.look(30 * time.Second)
	d := p.ended("dev", 1, towpath.DeploymentSucceeded)
	if d.By != towpath.System().Account || d.Release != before.Release || len(d.Components) != 1 || d.Components[0].From != d.Components[0].To {
		t.Errorf("the repair is %+v", d)
	}
	var op towpath.Operation
	for _, x := range p.done() {
		if x.Verb == towpath.VerbRepair {
			op = x
		}
	}
	if op.Spec.Revision != before.Components[0].Revision || op.Spec.Layer == "" || op.Spec.Rendered == nil || op.Deployment != d.ID {
		t.Errorf("the operation is %+v", op)
	}
	p.asDeployed("dev")
	p.look(time.Second)
	after := p.status("dev")
	if after.Drift != towpath.DriftNone || after.Since != before.Since || after.Version != before.Version || after.Hold != nil || after.Doubt != "" || after.Phase != inventory.PhaseHealthy {
		t.Errorf("after the repair: %+v", after)
	}
	if n := len(p.repairs("staging")); n > 0 {
		t.Errorf("%d repairs of staging, which has not drifted", n)
	}
	for action, want := range map[string]int{"drift.found": 1, "drift.gone": 1, "repair.requested": 1} {
		if got := p.events(action); got != want {
			t.Errorf("%s stands %d times in the ledger, want %d", action, got, want)
		}
	}
}

// noContents is a store of releases that is away.
type noContents struct{}

func (noContents) Content(context.Context, towpath.ProjectName, towpath.Digest) (*towpath.ReleaseContent, error) {
	return nil, towpath.E(towpath.KindUnavailable, "test", "the disk is away")
}

func TestServer_Drift(t *testing.T) {
	t.Run("is only reported where that is the policy", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftReport)
		p.edit("dev")
		p.looks()
		d := p.is("dev", towpath.DriftFound, "policy is to report")
		if st := p.status("dev"); st.Drift != towpath.DriftFound || len(st.Components[0].Differences) != 1 || len(p.repairs("dev")) > 0 || d.Policy != towpath.DriftReport {
			t.Errorf("%+v", st)
		}
		if _, err := p.repair(deploy.RepairRequest{Component: "nothing"}); towpath.KindOf(err) != towpath.KindNotFound {
			t.Errorf("a component that is not there: %v", err)
		}
		r, err := p.repair(deploy.RepairRequest{Reason: "looked at it"})
		must(t, 0, err)
		if p.ended("dev", 1, towpath.DeploymentSucceeded); r.By != "ana" || !strings.Contains(r.Cause, "looked at it") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("is seen also where the release can't be read", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftReport)
		p.edit("dev")
		p.looks()
		p.is("dev", towpath.DriftFound, "policy is to report")
		now := func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }
		got, err := inventory.New(inventory.Config{Now: now}, store.For[inventory.Tx](p.s.store), noContents{}, nil).Drift(t.Context(), p.ana, shop, "dev")
		must(t, 0, err)
		if c := got.Components[0]; c.State != towpath.DriftFound || len(c.Differences) != 1 || c.Policy != "" || !strings.Contains(c.Why, "can't be read: the disk is away.") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("has its repair wait after one that failed, and blames no release for it", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftRepair)
		p.failing(towpath.ResultFailed)
		p.edit("dev")
		p.looks()
		p.ended("dev", 1, towpath.DeploymentRolledBack)
		d := p.is("dev", towpath.DriftBackOff, "an instance crashed")
		st := p.status("dev")
		if st.Hold != nil || st.Doubt != "" || st.Health != towpath.HealthHealthy || d.Again.IsZero() {
			t.Errorf("%+v", st)
		}
		p.answer(nil)
		p.look(time.Second)
		if n := len(p.repairs("dev")); n != 1 {
			t.Errorf("tried again at once: %d repairs", n)
		}
		p.pass(31 * time.Second)
		p.ended("dev", 2, towpath.DeploymentSucceeded)
	})
	t.Run("is not repaired by itself in a freeze, and by a person all the same, also on hold", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftRepair)
		must(t, 0, p.svc.Promotions.Hold(context.Background(), p.ana, shop, "dev", "wait"))
		_, err := p.svc.Promotions.Freeze(context.Background(), p.ana, promote.FreezeRequest{Project: shop, Reason: "launch"})
		must(t, 0, err)
		p.edit("dev")
		p.looks()
		p.is("dev", towpath.DriftFound, "a freeze by ana is in force (launch)")
		_, err = p.repair(deploy.RepairRequest{})
		must(t, 0, err)
		p.ended("dev", 1, towpath.DeploymentSucceeded)
	})
	t.Run("is left alone when the address is taken, or a person insists", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftRepair)
		p.asDeployed("dev").Closed = "somebody else listens there"
		p.looks()
		p.is("dev", towpath.DriftFound, "would not help")
		if _, err := p.repair(deploy.RepairRequest{}); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "somebody else has taken") {
			t.Errorf("got %v", err)
		}
		_, err := p.repair(deploy.RepairRequest{Force: true})
		must(t, 0, err)
		p.ended("dev", 1, towpath.DeploymentSucceeded)
	})
	t.Run("is found where the agent knows nothing of what was deployed, or runs something else", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftReport)
		p.seen["dev"] = nil
		p.asDeployed("staging").Revision = "rev_other"
		p.looks()
		gone, other := p.is("dev", towpath.DriftFound, ""), p.is("staging", towpath.DriftFound, "")
		if gone.Differences[0].Kind != towpath.DiffersGone || other.Differences[0].Kind != towpath.DiffersRevision {
			t.Errorf("%+v, %+v", gone, other)
		}
	})
	t.Run("is no reason to replace what a deployment has brought meanwhile", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftRepair)
		p.failing(towpath.ResultFailed)
		p.edit("dev")
		p.looks()
		p.ended("dev", 1, towpath.DeploymentRolledBack)
		p.is("dev", towpath.DriftBackOff, "")
		p.answer(nil)
		p.publish("1.1.0", "two")
		p.runs("dev", "1.1.0")
		p.pass(time.Millisecond)
		if _, err := p.repair(deploy.RepairRequest{}); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "nothing to repair") {
			t.Errorf("a person repairs what 1.0.0 had: %v", err)
		}
		if n := len(p.repairs("dev")); n != 1 {
			t.Errorf("%d repairs", n)
		}
		p.edit("dev")
		p.looks()
		p.ended("dev", 2, towpath.DeploymentSucceeded)
	})
	t.Run("is no matter for a deployment, which a repair never goes beside", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftRepair)
		p.publish("1.1.0", "two")
		p.runs("dev", "1.1.0")
		p.asDeployed("dev")
		p.failing(towpath.ResultError) // for ever
		p.edit("dev")
		p.looks()
		p.until("a repair is tried", func() bool { return p.status("dev").Phase == inventory.PhaseRepairing })
		if _, err := p.repair(deploy.RepairRequest{Force: true}); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "active") {
			t.Errorf("another one beside it: %v", err)
		}
		if d := p.drifted("dev"); d.State != towpath.DriftRepairing {
			t.Errorf("%+v", d)
		}
		_, err := p.svc.Deploys.Rollback(context.Background(), p.ana, deploy.RollbackRequest{Project: shop, Environment: "dev", Reason: "enough"})
		must(t, 0, err)
		p.runs("dev", "1.0.0")
		if d := p.repairs("dev")[0]; d.Phase != towpath.DeploymentPreempted {
			t.Errorf("the repair is %s", d.Phase)
		}
		p.asDeployed("dev")
		p.look(time.Second)
		if d := p.drifted("dev"); d.State != towpath.DriftNone {
			t.Errorf("of what runs now: %+v", d)
		}
	})
}

// TestServer_DriftUnknown: what nobody could look at is told, and is neither drift
// nor as it was deployed; and one look at files is one, however often it is told.
func TestServer_DriftUnknown(t *testing.T) {
	p := newWatched(t, "", towpath.DriftRepair)
	looked := time.Now()
	unread := func() *towpath.Observation {
		o := p.asDeployed("dev")
		o.FilesAt, o.FilesUnread, o.Unread = looked, 1, []towpath.FileUnread{{Path: "serve", Why: "input/output error"}}
		return o
	}
	unread()
	p.looks()
	if d := p.drifted("dev"); d.State != towpath.DriftNone {
		t.Errorf("told twice of one look: %+v", d)
	}
	looked = looked.Add(time.Minute)
	unread()
	p.look(time.Second)
	d := p.is("dev", towpath.DriftUnknown, "can read its own folder")
	if st := p.status("dev"); len(d.Differences) != 1 || d.Differences[0].Kind != towpath.DiffersUnknown || st.Drift != towpath.DriftUnknown || len(p.repairs("dev")) > 0 {
		t.Errorf("%+v, and dev is %s", d, st.Drift)
	}
	if p.events("drift.unknown") != 1 || p.events("drift.found") != 0 {
		t.Errorf("%d and %d events", p.events("drift.unknown"), p.events("drift.found"))
	}
	if _, err := p.repair(deploy.RepairRequest{}); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("a person repairs what nobody knows: %v", err)
	}
	looked = looked.Add(time.Minute)
	o := unread()
	o.Files, o.FilesChanged = []towpath.FileChange{{Path: "lib", How: towpath.FileWasEdited}}, 1
	p.look(2 * time.Minute)
	p.look(time.Minute)
	p.pass(time.Millisecond)
	if d := p.is("dev", towpath.DriftUnknown, "can read its own folder"); len(d.Differences) != 1 || len(p.repairs("dev")) > 0 {
		t.Errorf("one look at files beside what can't be read: %+v", d)
	}
	o.FilesAt = looked.Add(time.Minute)
	p.look(time.Minute)
	if d := p.ended("dev", 1, towpath.DeploymentSucceeded); !strings.Contains(d.Cause, "lib") {
		t.Errorf("the repair is of %q", d.Cause)
	}
}

// TestServer_DriftWritesOnlyWhatIsNew: looks that find what the look before found
// write nothing about it.
func TestServer_DriftWritesOnlyWhatIsNew(t *testing.T) {
	p := newWatched(t, dbtest.PostgresURL(t), towpath.DriftReport)
	written := func() (by string) {
		must(t, 0, p.s.db.View(context.Background(), func(ctx context.Context, tx *sqldb.Tx) error {
			return tx.QueryRow(ctx, `SELECT coalesce(string_agg(xmin::text, ' '), '') FROM drift`).Scan(&by)
		}))
		return by
	}
	p.looks()
	if by := written(); by != "" {
		t.Errorf("nothing differs, and is written down by %s", by)
	}
	p.edit("dev")
	p.looks()
	p.is("dev", towpath.DriftFound, "policy is to report")
	before, events := written(), p.events("drift.found")
	for range 5 {
		p.look(10 * time.Second)
	}
	if after := written(); after != before || before == "" {
		t.Errorf("written by %s, and then by %s", before, after)
	}
	if n := p.events("drift.found"); n != events || n != 1 {
		t.Errorf("%d events", n)
	}
}

// TestServer_DriftRules: a component's own limits hold for it, from the release
// that runs.
func TestServer_DriftRules(t *testing.T) {
	rules := &towpath.DriftRules{Ignore: []string{"cache/**"}, Debounce: 2 * time.Minute, Backoff: 10 * time.Minute, Repairs: 1, Window: 24 * time.Hour}
	p := newRuled(t, "", towpath.DriftRepair, rules)
	p.edit("dev")
	p.look(0)
	p.look(time.Minute)
	if d := p.drifted("dev"); d.State != towpath.DriftNone {
		t.Errorf("found within its time: %+v", d)
	}
	p.failing(towpath.ResultFailed)
	p.look(time.Minute)
	p.ended("dev", 1, towpath.DeploymentRolledBack)
	d := p.is("dev", towpath.DriftBackOff, "an instance crashed")
	if pause := d.Again.Sub(d.Repairs[0].Ended); pause != 10*time.Minute {
		t.Errorf("the next one after %s", pause)
	}
	p.answer(nil)
	p.pass(10*time.Minute + time.Second)
	p.look(0) // its agent is there
	p.ended("dev", 2, towpath.DeploymentSucceeded)
	o := p.asDeployed("dev")
	o.Ignored, o.FilesIgnored = []towpath.FileChange{{Path: "cache/a", How: towpath.FileWasAdded}}, 4
	p.look(time.Second)
	d = p.is("dev", towpath.DriftNone, "")
	if d.FilesIgnored != 4 || len(d.Ignored) != 1 || d.Rules == nil || d.Rules.Ignore[0] != "cache/**" || d.Observed.IsZero() {
		t.Errorf("%+v", d)
	}
	p.edit("dev")
	p.look(0)
	p.look(3 * time.Minute)
	p.is("dev", towpath.DriftFlapping, "repaired once within 24h and")
	p.edit("staging")
	p.look(0)
	p.look(3 * time.Minute)
	p.until("staging is repaired: it is counted by itself", func() bool { return len(p.repairs("staging")) == 1 })
}

// TestServer_DriftUnseen: what nobody looks at now is neither repaired on its last
// word nor said to be known.
func TestServer_DriftUnseen(t *testing.T) {
	t.Run("waits for an agent that is away, and goes on when it is back", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftRepair)
		p.failing(towpath.ResultFailed)
		p.edit("dev")
		p.looks()
		p.ended("dev", 1, towpath.DeploymentRolledBack)
		p.is("dev", towpath.DriftBackOff, "")
		p.answer(nil)
		p.away()
		p.pass(time.Hour)
		d := p.is("dev", towpath.DriftFound, "the agent of local has not been heard of since")
		if !strings.Contains(d.Why, "looked last at "+d.Observed.UTC().Format(time.RFC3339)) || d.Again.IsZero() {
			t.Errorf("%+v", d)
		}
		if n := len(p.repairs("dev")); n != 1 {
			t.Errorf("%d repairs", n)
		}
		if st := p.status("dev"); st.Deployment != nil || st.Drift != towpath.DriftFound {
			t.Errorf("%+v", st)
		}
		p.back()
		p.look(2 * time.Minute)
		p.ended("dev", 2, towpath.DeploymentSucceeded)
	})
	t.Run("says that a deployment is at work on it", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftRepair)
		p.answer(func(op towpath.Operation) towpath.OperationResult {
			if op.Verb == towpath.VerbSwitch {
				return towpath.OperationResult{Status: towpath.ResultError, Message: "not yet"}
			}
			return towpath.OperationResult{}
		})
		p.publish("1.1.0", "two")
		p.until("it is deployed", func() bool {
			return p.status("dev").Phase == inventory.PhaseDeploying && p.drifted("dev").State == towpath.DriftUnknown
		})
		p.edit("dev")
		p.looks()
		if d := p.drifted("dev"); d.State != towpath.DriftUnknown || !strings.Contains(d.Why, "A deployment is at work on it") || len(p.repairs("dev")) > 0 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("has nothing left of a component that a release gave up", func(t *testing.T) {
		p := newWatched(t, "", towpath.DriftReport)
		p.edit("dev")
		p.looks()
		p.is("dev", towpath.DriftFound, "")
		p.component = "worker"
		p.publish("2.0.0", "another")
		p.runs("dev", "2.0.0")
		p.seen["dev"] = nil
		p.look(time.Second)
		r, err := p.svc.Inventory.Drift(context.Background(), p.ana, shop, "dev")
		must(t, 0, err)
		if len(r.Components) != 1 || r.Components[0].Component != "worker" {
			t.Errorf("%+v", r.Components)
		}
		p.until("it is told that the drift is over", func() bool { return p.events("drift.gone") == 1 })
	})
}
