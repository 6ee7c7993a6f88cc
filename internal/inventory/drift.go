package inventory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// DriftReport is what differs from what was deployed, in one or all of a
// project's environments.
type DriftReport struct {
	Components []ComponentDrift `json:"components"` // by environment in upstream order, and name
}

// ComponentDrift is the drift of one component that runs in an environment.
type ComponentDrift struct {
	Environment towpath.EnvironmentName `json:"environment"`
	Component   towpath.ComponentName   `json:"component"`
	Place       towpath.PlaceName       `json:"place"`
	Revision    towpath.RevisionID      `json:"revision"` // desired
	State       towpath.DriftState      `json:"state"`
	Policy      towpath.DriftPolicy     `json:"policy"` // empty: the release can't be read
	Since       time.Time               `json:"since,omitzero"`
	Differences []towpath.Difference    `json:"differences"`
	Why         string                  `json:"why,omitempty"`     // nothing is done about it
	Again       time.Time               `json:"again,omitzero"`    // when that is decided again
	Repairs     []towpath.RepairAttempt `json:"repairs"`           // of late, oldest first
	Observed    time.Time               `json:"observed,omitzero"` // when an agent looked last
	// Rules are what the release says besides the policy; nil: nothing. Ignored are
	// files that differ and are covered by its patterns, those of the release first,
	// the first of FilesIgnored.
	Rules        *towpath.DriftRules  `json:"rules,omitempty"`
	Ignored      []towpath.FileChange `json:"ignored,omitempty"`
	FilesIgnored int                  `json:"filesIgnored,omitempty"`
}

// seen is what agents saw of a project, and what was made of it, by target.
type seen struct {
	observed map[string]towpath.Observation
	drifts   map[string]towpath.Drift
}

// Drift says how what runs differs from what was deployed, in one environment
// or with an empty name in all of them.
func (s *Service) Drift(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) (DriftReport, error) {
	if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: p, Environment: e}); err != nil {
		return DriftReport{}, err
	}
	now := s.cfg.Now()
	var out DriftReport
	releases := map[towpath.EnvironmentName]towpath.Digest{}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out = DriftReport{Components: []ComponentDrift{}}
		envs, err := tx.Environments(ctx, p)
		if err != nil {
			return err
		}
		found := e == ""
		var world seen
		if world.observed, err = observations(ctx, tx, p); err != nil {
			return err
		}
		if world.drifts, err = drifts(ctx, tx, p, e); err != nil {
			return err
		}
		for _, env := range envs {
			if e != "" && env.Name != e {
				continue
			}
			found, releases[env.Name] = true, env.Release
			running, err := tx.Running(ctx, p, env.Name)
			if err != nil {
				return err
			}
			for _, r := range running {
				if r.Revision != "" {
					out.Components = append(out.Components, s.componentDrift(env, r, world, now))
				}
			}
		}
		if !found {
			return towpath.E(towpath.KindNotFound, "drift", "project %s has no environment %q", p, e).WithHint("`towpath status` lists all of them")
		}
		return nil
	})
	if err != nil {
		return DriftReport{}, err
	}
	s.policies(ctx, p, releases, out.Components)
	return out, nil
}

// policies adds what each component's release says to do about drift. One whose
// content can't be read says nothing, and keeps nobody from seeing what differs.
func (s *Service) policies(ctx context.Context, p towpath.ProjectName, releases map[towpath.EnvironmentName]towpath.Digest, all []ComponentDrift) {
	type read struct {
		content *towpath.ReleaseContent
		err     error
	}
	known := map[towpath.Digest]read{}
	for i := range all {
		x, d := &all[i], releases[all[i].Environment]
		x.Policy = towpath.DriftReport
		if d == "" {
			continue
		}
		of, ok := known[d]
		if !ok {
			of.content, of.err = s.contents.Content(ctx, p, d)
			known[d] = of
		}
		if of.err != nil {
			m, _ := towpath.PublicMessage(of.err)
			x.Policy, x.Why = "", strings.TrimSpace(x.Why+" What its release says about drift can't be read: "+m+".")
		} else if c, ok := of.content.Component(x.Component); ok && c.Drift != "" {
			x.Policy, x.Rules = c.Drift, c.DriftRules
		}
	}
}

func (s *Service) componentDrift(env towpath.Environment, r rollout.Running, world seen, now time.Time) ComponentDrift {
	target := targetOf(env, r)
	d := world.drifts[target.Key()]
	out := ComponentDrift{
		Environment: env.Name, Component: r.Component, Place: r.Place, Revision: r.Revision,
		Differences: []towpath.Difference{}, Repairs: []towpath.RepairAttempt{},
	}
	state, differences := s.drift(r, world, target, now)
	out.State = state
	out.Differences = append(out.Differences, differences...)
	out.Repairs = append(out.Repairs, d.Repairs...)
	if o, ok := world.observed[target.Key()]; ok {
		out.Observed, out.Ignored, out.FilesIgnored = o.At, o.Ignored, o.FilesIgnored
	}
	if state.Standing() || len(differences) > 0 {
		out.Since, out.Why, out.Again = d.Since, d.Why, d.Again
	}
	if why := s.unseen(r, out.Observed, state, now); why != "" {
		out.Why = strings.TrimSpace(why + " " + out.Why)
	}
	return out
}

// unseen says why nobody knows how a target differs now, or whether it still
// does; empty: somebody has just looked.
func (s *Service) unseen(r rollout.Running, observed time.Time, state towpath.DriftState, now time.Time) string {
	switch {
	case state == towpath.DriftRepairing:
		return ""
	case observed.IsZero() && state == towpath.DriftUnknown:
		return "No agent has looked at it yet."
	case !observed.IsZero() && now.Sub(observed) > s.cfg.Stale:
		return fmt.Sprintf("The agent of %s looked last at %s: what runs there now nobody knows.", r.Place, observed.UTC().Format(time.RFC3339))
	case r.Unsure:
		return "A deployment is at work on it, or left it in doubt: it is compared when that has ended."
	}
	return ""
}

// drift is the drift of a target, as far as it is known. What nobody has looked
// at of late, and what a deployment is at work on, is unknown.
func (s *Service) drift(r rollout.Running, world seen, target towpath.Target, now time.Time) (towpath.DriftState, []towpath.Difference) {
	d, known := world.drifts[target.Key()]
	o, ok := world.observed[target.Key()]
	standing := known && d.Revision == r.Revision && d.State.Standing()
	switch {
	case standing && !r.Unsure && d.Unknown():
		return towpath.DriftUnknown, d.Differences
	case standing && (!r.Unsure || d.State == towpath.DriftRepairing):
		return d.State, d.Differences
	case r.Unsure, !ok, now.Sub(o.At) > s.cfg.Stale:
		return towpath.DriftUnknown, nil
	}
	return towpath.DriftNone, nil
}

func targetOf(env towpath.Environment, r rollout.Running) towpath.Target {
	return towpath.Target{Project: env.Project, Environment: env.Name, Component: r.Component, Place: r.Place, Slot: towpath.SlotMain}
}

func drifts(ctx context.Context, tx Tx, p towpath.ProjectName, e towpath.EnvironmentName) (map[string]towpath.Drift, error) {
	all, err := tx.Drifts(ctx, p, e)
	out := make(map[string]towpath.Drift, len(all))
	for _, d := range all {
		out[d.Target.Key()] = d
	}
	return out, err
}

// worstDrift is the drift of the whole: that which most needs a person first.
func worstDrift(components []ComponentStatus) towpath.DriftState {
	order := []towpath.DriftState{
		towpath.DriftFlapping, towpath.DriftBackOff, towpath.DriftFound, towpath.DriftRepairing, towpath.DriftUnknown,
	}
	for _, state := range order {
		for _, c := range components {
			if c.Drift == state {
				return state
			}
		}
	}
	if len(components) == 0 {
		return towpath.DriftUnknown
	}
	return towpath.DriftNone
}
