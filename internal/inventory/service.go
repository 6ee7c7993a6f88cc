// Package inventory says what runs where: desired state beside what was last
// seen, how far behind an environment is and what is on its way into it. It
// only reads. Start reading at Service.Status.
package inventory

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Store opens transactions.
type Store interface {
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what inventory reads in one transaction.
type Tx interface {
	Environment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error)
	Environments(ctx context.Context, p towpath.ProjectName) ([]towpath.Environment, error)
	Observations(ctx context.Context, p towpath.ProjectName) ([]towpath.Observation, error)
	Candidate(ctx context.Context, id towpath.CandidateID) (towpath.Candidate, error)
	Candidates(ctx context.Context, p towpath.ProjectName, before time.Time, id towpath.CandidateID, limit int) ([]towpath.Candidate, error)
	CandidatesSince(ctx context.Context, p towpath.ProjectName, after time.Time) (int, error)
	Freezes(ctx context.Context, p towpath.ProjectName) ([]towpath.Freeze, error)
	Quarantine(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.Quarantine, error)
	OpenPromotions(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.Promotion, error)
	Deployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error)
	AgentsAway(ctx context.Context, id towpath.DeploymentID, since time.Time) ([]towpath.AgentAway, error)
	Running(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]rollout.Running, error)
	Collected(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (bool, error)
	FirstPublished(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (time.Time, error)
	Runs(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, limit int) ([]towpath.Run, error) // newest first
	RunsOf(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, c towpath.CandidateID) ([]towpath.Run, error)
	Drifts(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) ([]towpath.Drift, error)
	RefMove(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.RefMove, bool, error)
}

// Contents reads what a release holds.
type Contents interface {
	Content(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (*towpath.ReleaseContent, error)
}

// Statements verifies what is attached to a release, under the keys that are
// trusted in an environment.
type Statements interface {
	Statements(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, release towpath.Digest) ([]towpath.Attestation, error)
}

// Config says how the service works.
type Config struct {
	Now func() time.Time
	// Stale is how old an observation may be before it says nothing any more;
	// default 30 s.
	Stale time.Duration
}

// Service is the use case.
type Service struct {
	cfg      Config
	store    Store
	contents Contents
	said     Statements
}

// New makes the service.
func New(cfg Config, store Store, contents Contents, said Statements) *Service {
	if cfg.Stale <= 0 {
		cfg.Stale = 30 * time.Second
	}
	return &Service{cfg, store, contents, said}
}

// Status says what one environment runs, or with an empty name all of them in
// upstream order.
func (s *Service) Status(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) ([]Status, error) {
	if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: p, Environment: e}); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	var out []Status
	environments := map[towpath.EnvironmentName]towpath.Environment{}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = []Status{}
		envs, err := tx.Environments(ctx, p)
		if err != nil {
			return err
		}
		newest, err := tx.Candidates(ctx, p, time.Time{}, "", 1)
		if err != nil {
			return err
		}
		observed, err := observations(ctx, tx, p)
		if err != nil {
			return err
		}
		drifts, err := drifts(ctx, tx, p, e)
		if err != nil {
			return err
		}
		freezes, err := tx.Freezes(ctx, p)
		if err != nil {
			return err
		}
		for _, env := range envs {
			if e != "" && env.Name != e {
				continue
			}
			st, err := s.status(ctx, tx, env, newest, seen{observed, drifts}, now)
			if err != nil {
				return err
			}
			st.Freezes = active(freezes, env, now)
			environments[env.Name] = env
			out = append(out, st)
		}
		if e != "" && len(out) == 0 {
			return towpath.E(towpath.KindNotFound, "status", "project %s has no environment %q", p, e).
				WithHint("`towpath status` lists all of them")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		s.evidence(ctx, &out[i], environments[out[i].Environment], now)
	}
	return out, s.matrix(ctx, out)
}

// evidence says what is said of what runs, also after it was promoted: what
// scanners have found, and which signatures count no more.
func (s *Service) evidence(ctx context.Context, st *Status, env towpath.Environment, now time.Time) {
	if st.Release == "" {
		return
	}
	said, err := s.said.Statements(ctx, st.Project, st.Environment, st.Release)
	if err != nil {
		m, _ := towpath.PublicMessage(err)
		st.Findings = []string{"What scanners found can't be read: " + m + "."}
		return
	}
	st.Findings = gate.Findings(gate.FlagRule(env.Rules.Gates.Scan), said, now)
	st.Rescans = gate.Rescans(env, said, now)
	st.Unbelieved = gate.Unbelieved(env, towpath.Candidate{Release: st.Release, Version: st.Version, Commit: st.Commit}, said)
}

func (s *Service) status(ctx context.Context, tx Tx, env towpath.Environment, newest []towpath.Candidate, world seen, now time.Time) (Status, error) {
	st := Status{
		Project: env.Project, Environment: env.Name, Release: env.Release, Version: env.Version, Commit: env.Commit,
		Since: env.Since, Hold: env.Hold, Proposed: env.Proposal(), Components: []ComponentStatus{},
	}
	if len(newest) > 0 {
		st.Newest = newest[0].Version
	}
	since := time.Time{}
	if env.Candidate != "" {
		c, err := tx.Candidate(ctx, env.Candidate)
		if err != nil {
			return st, err
		}
		since = c.Published
		if env.Rules.Gates.Age > 0 {
			first, err := tx.FirstPublished(ctx, env.Project, env.Release)
			if err != nil {
				return st, err
			}
			st.Expires, st.Expired = gate.Expired(env.Rules, first, now)
		}
		runs, err := tx.RunsOf(ctx, env.Project, env.Name, env.Candidate)
		if err != nil {
			return st, err
		}
		if i := slices.IndexFunc(runs, func(r towpath.Run) bool { return r.Deployment == env.Deployment }); i >= 0 {
			st.Doubt, st.Unseen = runs[i].Doubt, runs[i].Unseen
		}
	}
	var err error
	if st.Behind, err = tx.CandidatesSince(ctx, env.Project, since); err != nil {
		return st, err
	}
	if st.Queue, err = tx.OpenPromotions(ctx, env.Project, env.Name); err != nil {
		return st, err
	}
	if env.Active != "" {
		d, err := tx.Deployment(ctx, env.Active)
		if err != nil {
			return st, err
		}
		if d.Away, err = tx.AgentsAway(ctx, d.ID, now.Add(-towpath.AgentSilence)); err != nil {
			return st, err
		}
		st.Deployment = &d
	}
	if err := flag(ctx, tx, env, &st); err != nil {
		return st, err
	}
	running, err := tx.Running(ctx, env.Project, env.Name)
	if err != nil {
		return st, err
	}
	for _, r := range running {
		doubtful := r.Unsure && st.Deployment == nil
		st.failed = st.failed || doubtful
		if r.Revision == "" {
			continue
		}
		c := s.component(env, r, st.Deployment, world, now)
		if doubtful {
			c.Detail = "a deployment failed and could not be undone: it may run another revision than it should"
		}
		st.Components = append(st.Components, c)
	}
	if env.Rules.Branch != "" {
		st.Branch = &BranchStatus{Name: env.Rules.Branch}
		move, ok, err := tx.RefMove(ctx, env.Project, env.Name)
		if err != nil {
			return st, err
		}
		if ok && move.State == towpath.RefPending {
			st.Branch.Pending = move.Pending
			if st.Branch.Pending == "" {
				st.Branch.Pending = "about to move"
			}
		}
	}
	st.Health, st.Drift = worst(st.Components), worstDrift(st.Components)
	st.Phase = phase(env, st)
	return st, nil
}

func (s *Service) component(env towpath.Environment, r rollout.Running, d *towpath.Deployment, world seen, now time.Time) ComponentStatus {
	target := targetOf(env, r)
	c := ComponentStatus{Component: r.Component, Revision: r.Revision, Health: towpath.HealthUnknown}
	c.Drift, c.Differences = s.drift(r, world, target, now)
	o, ok := world.observed[target.Key()]
	if !ok {
		c.Detail = "nobody has seen it run"
		return c
	}
	c.Running, c.Address, c.Instances, c.Detail, c.Observed = o.Revision, o.Address, o.Instances, o.Detail, o.At
	c.Preview, c.KeptUntil, c.Replacing = o.Preview, o.KeptUntil, replacing(d, o)
	if moved(d, r.Component) {
		c.Preview = "" // who looks there sees what everybody sees, or what is going
	}
	if now.Sub(o.At) > s.cfg.Stale {
		c.Detail = "last seen " + o.At.Format(time.RFC3339)
		return c
	}
	c.Health = o.Health
	return c
}

// moved reports whether all of a component's traffic went to its new revision.
func moved(d *towpath.Deployment, name towpath.ComponentName) bool {
	if d == nil {
		return false
	}
	i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == name })
	if i < 0 {
		return false
	}
	s, ok := d.Components[i].Find(towpath.VerbSwitch)
	return ok && s.Phase == towpath.OperationSucceeded
}

// replacing counts the instances of both revisions of a component that a
// deployment replaces, in what was seen of it; nil when only one of them runs.
func replacing(d *towpath.Deployment, o towpath.Observation) *Replacing {
	if d == nil || len(o.Beside) == 0 {
		return nil
	}
	i := slices.IndexFunc(d.Components, func(r towpath.Rollout) bool { return r.Component == o.Target.Component })
	if i < 0 || d.Components[i].From == d.Components[i].To {
		return nil
	}
	r, out := d.Components[i], &Replacing{}
	for _, seen := range append([]towpath.RevisionSeen{{Revision: o.Revision, Instances: o.Instances, Wanted: o.Wanted}}, o.Beside...) {
		switch seen.Revision {
		case r.To:
			out.New, out.Wanted = seen.Instances, seen.Wanted
		case r.From:
			out.Old = seen.Instances
		}
	}
	if out.New == 0 {
		return nil
	}
	return out
}

func observations(ctx context.Context, tx Tx, p towpath.ProjectName) (map[string]towpath.Observation, error) {
	all, err := tx.Observations(ctx, p)
	out := make(map[string]towpath.Observation, len(all))
	for _, o := range all {
		out[o.Target.Key()] = o
	}
	return out, err
}

func active(freezes []towpath.Freeze, env towpath.Environment, now time.Time) []towpath.Freeze {
	var out []towpath.Freeze
	for _, f := range freezes {
		if (f.Environment == "" || f.Environment == env.Name) && !now.Before(f.From) && (f.Until.IsZero() || now.Before(f.Until)) {
			out = append(out, f)
		}
	}
	return out
}

// worst is the health of the whole: unhealthy before unknown before healthy.
func worst(components []ComponentStatus) towpath.Health {
	if len(components) == 0 {
		return towpath.HealthUnknown
	}
	out := towpath.HealthHealthy
	for _, c := range components {
		switch {
		case c.Health == towpath.HealthUnhealthy:
			return c.Health
		case c.Health != towpath.HealthHealthy:
			out = towpath.HealthUnknown
		}
	}
	return out
}

func phase(env towpath.Environment, st Status) Phase {
	switch {
	case st.Deployment != nil && st.Deployment.Kind == towpath.DeploymentRepair:
		return PhaseRepairing
	case st.Deployment != nil && st.Deployment.Experiment != nil:
		return PhaseComparing
	case st.Deployment != nil && (st.Deployment.Kind == towpath.DeploymentRollback || st.Deployment.Phase == towpath.DeploymentReverting):
		return PhaseRolling
	case st.Deployment != nil:
		return PhaseDeploying
	case st.failed:
		return PhaseFailed
	case env.Release == "" && st.Proposed != nil:
		return PhaseProposed
	case env.Release == "":
		return PhaseEmpty
	case st.Health == towpath.HealthHealthy:
		return PhaseHealthy
	case st.Health == towpath.HealthUnhealthy:
		return PhaseUnhealthy
	}
	return PhaseUnknown
}
