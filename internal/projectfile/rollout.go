package projectfile

import (
	"fmt"
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
