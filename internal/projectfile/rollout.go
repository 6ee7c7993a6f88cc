package projectfile

import (
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// maxSteps bounds the steps of a canary.
const maxSteps = 20

// Defaults of a canary.
const (
	defaultInterval = 10 * time.Second
	defaultDeadline = 30 * time.Minute
)

func readRollout(o object) towpath.RolloutSpec {
	spec := towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: 5 * time.Minute}
	x, ok := o.child("rollout")
	if !ok {
		return spec
	}
	x.only("strategy", "timeout", "steps", "interval", "deadline", "undecided")
	spec.Strategy = choice(x, "strategy", towpath.StrategyBlueGreen, towpath.StrategyBlueGreen, towpath.StrategyCanary)
	spec.Timeout = x.duration("timeout", 5*time.Minute, time.Second, 24*time.Hour)
	if spec.Strategy == towpath.StrategyCanary {
		spec.Interval = x.duration("interval", defaultInterval, time.Second, time.Hour)
		spec.Deadline = x.duration("deadline", defaultDeadline, time.Second, 7*24*time.Hour)
		if choice(x, "undecided", "proceed", "proceed", "hold") == "hold" {
			spec.Undecided = towpath.UndecidedHolds
		}
		spec.Steps = readSteps(x)
		return spec
	}
	for _, key := range []string{"steps", "interval", "deadline", "undecided"} {
		if n, ok := x.value(key); ok {
			o.r.problem(n, x.at(key), key+" are for a canary", "write strategy: canary, or take "+key+" out")
		}
	}
	return spec
}

func readSteps(rollout object) []towpath.RolloutStep {
	entries := rollout.list("steps")
	if len(entries) == 0 {
		rollout.r.problem(rollout.n, rollout.at("steps"), "a canary without steps moves all of the traffic at once",
			"write steps: [{weight: 5, for: 5m}, {weight: 50, for: 5m}]")
	}
	var out []towpath.RolloutStep
	for i, e := range entries {
		if i == maxSteps {
			rollout.r.problem(e.n, e.path, fmt.Sprintf("there are more than %d steps", maxSteps), "")
			break
		}
		x := rollout.r.object(e.path, e.n)
		x.only("weight", "for", "manual")
		x.need("weight", "say what share of the traffic the new revision gets, in percent: weight: 5")
		s := towpath.RolloutStep{
			Weight: x.integer("weight", 1, 1, 99), For: x.duration("for", 0, 0, 7*24*time.Hour), Manual: x.boolean("manual"),
		}
		if last := len(out) - 1; last >= 0 && s.Weight <= out[last].Weight {
			rollout.r.problem(e.n, x.at("weight"), fmt.Sprintf("%d %% come after %d %%", s.Weight, out[last].Weight), "let the weights grow from step to step")
		}
		out = append(out, s)
	}
	return out
}

func readObjectives(o object) []towpath.Objective {
	var out []towpath.Objective
	for _, e := range o.list("objectives") {
		x := o.r.object(e.path, e.n)
		x.only("name", "component", "kind", "query", "target", "bound", "window", "minSamples", "critical")
		x.need("name", "give it a name")
		x.need("target", "say what is to be reached, as a number: 0.999")
		j := towpath.Objective{
			Name: x.str("name", ""), Component: towpath.ComponentName(x.str("component", "")),
			Kind:  choice(x, "kind", towpath.ObjectiveQuery, towpath.ObjectiveErrors, towpath.ObjectiveLatency),
			Query: x.str("query", ""), Target: x.number("target"), Bound: x.duration("bound", 0, time.Millisecond, 10*time.Second),
			Window:     x.duration("window", 720*time.Hour, time.Second, 10*365*24*time.Hour),
			MinSamples: x.integer("minSamples", 0, 1, 1_000_000_000), Critical: x.boolean("critical"),
		}
		if n, ok := x.value("name"); ok && n.kind == kindString {
			o.r.name(n, x.at("name"), j.Name)
			if slices.ContainsFunc(out, func(y towpath.Objective) bool { return y.Name == j.Name }) {
				o.r.problem(n, x.at("name"), fmt.Sprintf("there are two objectives %q", j.Name), "give each its own name")
			}
		}
		checkObjective(x, j)
		out = append(out, j)
	}
	return out
}

// checkObjective reports what does not fit the objective's kind.
func checkObjective(x object, j towpath.Objective) {
	if j.Kind == towpath.ObjectiveQuery {
		if n, ok := x.value("bound"); ok {
			x.r.problem(n, x.at("bound"), "a bound is for a latency", "write kind: latency, or put the bound into the query")
		}
		return
	}
	if n, ok := x.value("query"); ok {
		x.r.problem(n, x.at("query"), fmt.Sprintf("what is of kind %s is counted without a query", j.Kind), "take the query out, or the kind")
	}
	if n, ok := x.value("target"); ok && (j.Target <= 0 || j.Target >= 1) {
		x.r.problem(n, x.at("target"), "the target is no share between 0 and 1", "write the share of requests that has to be good: 0.999")
	}
	n, bound := x.value("bound")
	switch {
	case j.Kind == towpath.ObjectiveLatency && !bound:
		x.r.problem(x.n, x.at("bound"), "bound is missing", "say within which time the share of requests has to be answered: bound: 300ms")
	case j.Kind == towpath.ObjectiveErrors && bound:
		x.r.problem(n, x.at("bound"), "a bound is for a latency", "write kind: latency, or take it out")
	}
}
