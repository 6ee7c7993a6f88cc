package release

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Diff compares two releases: the files of each component and, in one
// environment or in all, its rendered settings and the rules. Everything was
// rendered when they were built, so what it says is what would run.
func (s *Service) Diff(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, a, b string, env towpath.EnvironmentName) (Diff, error) {
	if err := access.Check(actor, access.ReleaseRead, access.Subject{Project: p}); err != nil {
		return Diff{}, err
	}
	var ca, cb towpath.Candidate
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if ca, err = find(ctx, tx, p, a); err != nil {
			return err
		}
		cb, err = find(ctx, tx, p, b)
		return err
	})
	if err != nil {
		return Diff{}, err
	}
	x, err := s.Content(ctx, p, ca.Release)
	if err != nil {
		return Diff{}, err
	}
	y, err := s.Content(ctx, p, cb.Release)
	if err != nil {
		return Diff{}, err
	}
	if env != "" {
		_, inA := x.Environment(env)
		_, inB := y.Environment(env)
		if !inA && !inB {
			return Diff{}, towpath.E(towpath.KindNotFound, "release.diff", "neither release has an environment %q", env)
		}
	}
	out, left := Compare(x, y, env), int64(maxCompared)
	for i := range out.Components {
		if d := &out.Components[i]; d.Environment == "" && d.Action == towpath.ActionReplace {
			if d.Files, err = s.files(ctx, x, y, d.Component, &left); err != nil {
				return Diff{}, err
			}
		}
	}
	out.A, out.B, out.Identical = ca.Release, cb.Release, ca.Release == cb.Release
	return out, nil
}

// Compare lists what differs between two contents; env empty is all
// environments.
func Compare(a, b *towpath.ReleaseContent, env towpath.EnvironmentName) Diff {
	out := Diff{Components: []ComponentDiff{}}
	out.Changes = rollout.Changes(raw(releaseFacts(a)), raw(releaseFacts(b)))
	for _, name := range componentNames(a, b) {
		x, inA := a.Component(name)
		y, inB := b.Component(name)
		if d, differs := pair(name, "", inA, inB, rollout.Changes(facts(x, inA), facts(y, inB))); differs {
			out.Components = append(out.Components, d)
		}
	}
	for _, e := range environmentNames(a, b) {
		if env != "" && e != env {
			continue
		}
		x, _ := a.Environment(e)
		y, _ := b.Environment(e)
		for _, name := range componentNames(a, b) {
			cx, inA := x.Component(name)
			cy, inB := y.Component(name)
			if d, differs := pair(name, e, inA, inB, rollout.Changes(cx.Spec, cy.Spec)); differs {
				out.Components = append(out.Components, d)
			}
		}
		rx, ry := raw(x.Rules), raw(y.Rules)
		if changes := rollout.Changes(rx, ry); len(changes) > 0 {
			out.Rules = append(out.Rules, RuleDiff{Environment: e, Changes: changes, Loosens: gate.Loosens(x.Rules, y.Rules)})
		}
	}
	return out
}

func pair(name towpath.ComponentName, env towpath.EnvironmentName, inA, inB bool, changes []towpath.Change) (ComponentDiff, bool) {
	d := ComponentDiff{Component: name, Environment: env, Action: towpath.ActionReplace, Changes: changes}
	switch {
	case !inA && !inB, inA && inB && len(changes) == 0:
		return d, false
	case !inA:
		d.Action = towpath.ActionCreate
	case !inB:
		d.Action = towpath.ActionRemove
	}
	return d, true
}

// releaseFacts is what belongs to no component, each by its name.
func releaseFacts(c *towpath.ReleaseContent) map[string]any {
	pins, objectives, folders, requires := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	for _, p := range c.Pins {
		pins[p.Name] = p.What()
	}
	for _, o := range c.Objectives {
		objectives[cmp.Or(o.Name, string(o.Kind))] = objectiveFacts(o)
	}
	for _, f := range c.Folders {
		folders[f.Role] = f.Layer
	}
	for _, r := range c.Requires {
		requires[strings.TrimSuffix(string(r.Project)+"/"+string(r.Component), "/")] = r.Versions
	}
	return map[string]any{"pins": pins, "objectives": objectives, "folders": folders, "requires": requires, "naming": c.Naming}
}

// objectiveFacts is an objective as people write it.
func objectiveFacts(o towpath.Objective) map[string]any {
	out := map[string]any{}
	_ = json.Unmarshal(raw(o), &out) // it was just encoded
	delete(out, "name")
	for key, d := range map[string]time.Duration{"bound": o.Bound, "window": o.Window} {
		if d > 0 {
			out[key] = d.String()
		}
	}
	return out
}

// facts is what a component's diff compares beside its settings.
func facts(c towpath.ReleaseComponent, present bool) json.RawMessage {
	if !present {
		return nil
	}
	out := map[string]any{
		"files": c.Layer, "kind": c.Kind, "dependsOn": c.DependsOn,
		"rollout": rolloutFacts(c.Rollout), "drift": c.Drift,
	}
	if c.DriftRules != nil {
		out["driftRules"] = driftFacts(*c.DriftRules)
	}
	return raw(out)
}

// driftFacts are rules of drift as people write them.
func driftFacts(r towpath.DriftRules) map[string]any {
	out := map[string]any{}
	for key, d := range map[string]time.Duration{"debounce": r.Debounce, "backoff": r.Backoff, "backoffMax": r.BackoffMax, "within": r.Window} {
		if d > 0 {
			out[key] = d.String()
		}
	}
	if r.Repairs > 0 {
		out["repairs"] = r.Repairs
	}
	if len(r.Ignore) > 0 {
		out["ignore"] = r.Ignore
	}
	return out
}

// rolloutFacts is a rollout as people write it.
func rolloutFacts(r towpath.RolloutSpec) map[string]any {
	out := map[string]any{"strategy": r.Strategy, "timeout": r.Timeout.String()}
	for key, d := range map[string]time.Duration{"interval": r.Interval, "deadline": r.Deadline, "for": r.For, "keep": r.Keep} {
		if d > 0 {
			out[key] = d.String()
		}
	}
	for key, s := range map[string]string{"undecided": string(r.Undecided), "surge": string(r.Surge), "unavailable": string(r.Unavailable)} {
		if s != "" {
			out[key] = s
		}
	}
	if r.Preview != nil {
		out["preview"] = stepFacts(*r.Preview)
	}
	if m := r.Mirror; m != nil {
		out["mirror"] = stepFacts(*m)
	}
	if s := r.Sticky; s != nil {
		out["sticky"] = s
	}
	var steps []map[string]any
	for _, s := range r.Steps {
		steps = append(steps, stepFacts(s))
	}
	if steps != nil {
		out["steps"] = steps
	}
	return out
}

func stepFacts(s towpath.RolloutStep) map[string]any {
	out := map[string]any{"weight": s.Weight, "manual": s.Manual}
	if s.For > 0 {
		out["for"] = s.For.String()
	}
	if c := s.Copies; c != nil {
		delete(out, "weight")
		out["percent"] = c.Percent
		if len(c.Methods) > 0 {
			out["methods"] = c.Methods
		}
	}
	return out
}

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // these types always encode
	}
	return b
}

func componentNames(a, b *towpath.ReleaseContent) []towpath.ComponentName {
	names := map[towpath.ComponentName]bool{}
	for _, c := range append(slices.Clone(a.Components), b.Components...) {
		names[c.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// environmentNames are those of b in upstream order, then those only a has.
func environmentNames(a, b *towpath.ReleaseContent) []towpath.EnvironmentName {
	var names []towpath.EnvironmentName
	for _, e := range append(slices.Clone(b.Environments), a.Environments...) {
		if !slices.Contains(names, e.Rules.Name) {
			names = append(names, e.Rules.Name)
		}
	}
	return names
}
