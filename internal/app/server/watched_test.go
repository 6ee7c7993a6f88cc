package server

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// watched is a harness whose agent sees what the test says, on a clock that the
// test moves on.
type watched struct {
	*harness
	ahead *atomic.Int64
	seen  map[towpath.EnvironmentName]*towpath.Observation
}

// newWatched runs 1.0.0 in dev and staging, as it was deployed.
func newWatched(t *testing.T, database string, policy towpath.DriftPolicy) *watched {
	t.Helper()
	return newRuled(t, database, policy, nil)
}

// newRuled is newWatched of a component with rules of its own.
func newRuled(t *testing.T, database string, policy towpath.DriftPolicy, rules *towpath.DriftRules) *watched {
	t.Helper()
	ahead := &atomic.Int64{}
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p := &watched{
		harness: startHarness(t, Config{Data: t.TempDir(), Database: database, Now: now}, gittest.New(t)),
		ahead:   ahead, seen: map[towpath.EnvironmentName]*towpath.Observation{},
	}
	p.drift = policy
	p.rules = rules
	p.introduce()
	p.publish("1.0.0", "one")
	for _, e := range []towpath.EnvironmentName{"dev", "staging"} {
		p.runs(e, "1.0.0")
		p.asDeployed(e)
	}
	p.look(0)
	return p
}

// asDeployed has the agent see an environment's component as it was deployed.
func (p *watched) asDeployed(e towpath.EnvironmentName) *towpath.Observation {
	p.t.Helper()
	p.seen[e] = &towpath.Observation{
		Target:   towpath.Target{Project: shop, Environment: e, Component: "api", Place: "local", Slot: towpath.SlotMain},
		Revision: p.status(e).Components[0].Revision, Health: towpath.HealthHealthy, Address: "127.0.0.1:80", Instances: 1, Wanted: 1,
	}
	return p.seen[e]
}

// edit has the agent see that a file was edited.
func (p *watched) edit(e towpath.EnvironmentName) {
	p.t.Helper()
	o := p.asDeployed(e)
	o.Files, o.FilesChanged = []towpath.FileChange{{Path: "serve", How: towpath.FileWasEdited}}, 1
}

// look has the agent look after a while.
func (p *watched) look(after time.Duration) {
	p.t.Helper()
	p.pass(after)
	var all []towpath.Observation
	for _, o := range p.seen {
		if o != nil {
			all = append(all, *o)
		}
	}
	must(p.t, 0, p.s.agents.Observe(context.Background(), p.ana, agentrpc.ObserveRequest{Session: "session-1", Place: "local", Observations: all}))
}

// pass has time pass, not in the middle of what is being decided: that would come
// back as much later as the clock was moved on.
func (p *watched) pass(d time.Duration) {
	p.t.Helper()
	if d > 0 {
		p.until("everything about drift is decided", func() bool {
			n := 0
			must(p.t, 0, p.s.db.View(context.Background(), func(ctx context.Context, tx *sqldb.Tx) error {
				return tx.QueryRow(ctx, `SELECT count(*) FROM work WHERE kind = $1 AND (lease_until > 0 OR run_after <= $2)`,
					deploy.WorkDrift, sqldb.Micros(p.s.cfg.Now())).Scan(&n)
			}))
			return n == 0
		})
	}
	p.ahead.Add(int64(d))
}

// looks has it look twice, far enough apart to be certain.
func (p *watched) looks() {
	p.t.Helper()
	p.look(0)
	p.look(30 * time.Second)
}

func (p *watched) drifted(e towpath.EnvironmentName) inventory.ComponentDrift {
	p.t.Helper()
	r, err := p.svc.Inventory.Drift(context.Background(), p.ana, shop, e)
	must(p.t, 0, err)
	return r.Components[0]
}

// is waits until an environment's drift stands so, and says so.
func (p *watched) is(e towpath.EnvironmentName, state towpath.DriftState, says string) inventory.ComponentDrift {
	p.t.Helper()
	var d inventory.ComponentDrift
	p.until(string(e)+" is "+string(state)+", "+says, func() bool {
		d = p.drifted(e)
		return d.State == state && strings.Contains(d.Why, says)
	})
	return d
}

// repairs lists those of an environment, newest first.
func (p *watched) repairs(e towpath.EnvironmentName) (out []towpath.Deployment) {
	p.t.Helper()
	l, err := p.svc.Deploys.List(context.Background(), p.ana, deploy.Filter{Project: shop, Environment: e})
	must(p.t, 0, err)
	for _, d := range l.Items {
		if d.Kind == towpath.DeploymentRepair {
			out = append(out, d)
		}
	}
	return out
}

func (p *watched) ended(e towpath.EnvironmentName, n int, phase towpath.DeploymentPhase) towpath.Deployment {
	p.t.Helper()
	p.until("a repair is "+string(phase), func() bool { l := p.repairs(e); return len(l) == n && l[0].Phase == phase })
	return p.repairs(e)[0]
}

func (p *watched) repair(r deploy.RepairRequest) (towpath.Deployment, error) {
	r.Project, r.Environment = shop, "dev"
	return p.svc.Deploys.Repair(context.Background(), p.ana, r)
}

// failing has every repair end so.
func (p *watched) failing(status towpath.ResultStatus) {
	p.answer(func(op towpath.Operation) towpath.OperationResult {
		if op.Verb == towpath.VerbRepair {
			return towpath.OperationResult{Status: status, Message: "an instance crashed"}
		}
		return towpath.OperationResult{}
	})
}

// events counts those of an action.
func (p *watched) events(action string) (n int) {
	p.t.Helper()
	must(p.t, 0, p.s.db.View(context.Background(), func(ctx context.Context, tx *sqldb.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM event WHERE action = $1`, action).Scan(&n)
	}))
	return n
}
