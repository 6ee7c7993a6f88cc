package projectfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// maxSteps bounds the steps of a canary.
const maxSteps = 20

// rolloutKeys are those of each strategy, besides strategy, timeout and progress.
var rolloutKeys = map[towpath.RolloutStrategy][]string{
	towpath.StrategyBlueGreen: {"preview", "for", "judged", "interval", "deadline", "undecided", "keep", "mirror"},
	towpath.StrategyCanary:    {"steps", "judged", "interval", "deadline", "undecided", "keep", "mirror", "sticky"},
	towpath.StrategyRolling:   {"surge", "unavailable", "for", "judged", "interval", "deadline", "undecided", "mirror", "sticky"},
	towpath.StrategyAllAtOnce: {"for", "judged", "interval", "deadline", "undecided"},
}

func readRollout(o object) towpath.RolloutSpec {
	spec := towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: 5 * time.Minute}
	x, ok := o.child("rollout")
	if !ok {
		return spec
	}
	x.only("strategy", "timeout", "progress", "steps", "judged", "interval", "deadline", "undecided", "surge", "unavailable", "for", "preview", "keep",
		"mirror", "sticky")
	x.boolean("judged") // checked with the objectives
	before := len(x.r.problems)
	spec.Strategy = choice(x, "strategy", towpath.StrategyBlueGreen,
		towpath.StrategyBlueGreen, towpath.StrategyCanary, towpath.StrategyRolling, towpath.StrategyAllAtOnce)
	if len(x.r.problems) > before { // what it wants depends on what was meant
		return spec
	}
	spec.Timeout = x.duration("timeout", 5*time.Minute, time.Second, 24*time.Hour)
	spec.Progress = readProgress(x, spec.Timeout)
	onlyOf(x, spec.Strategy)
	switch spec.Strategy {
	case towpath.StrategyBlueGreen:
		spec.Preview = readPreview(x)
		spec.For = x.duration("for", 0, 0, 7*24*time.Hour) // more is known with the objectives
		if _, ok := x.value("mirror"); ok {
			readJudged(x, &spec, towpath.DefaultInterval, towpath.DefaultDeadline)
		} else {
			readJudged(x, &spec, 0, 0)
		}
	case towpath.StrategyAllAtOnce:
		spec.For = x.duration("for", 0, 0, 7*24*time.Hour)
		readJudged(x, &spec, 0, 0)
	case towpath.StrategyCanary:
		readJudged(x, &spec, towpath.DefaultInterval, towpath.DefaultDeadline)
		spec.Steps = readSteps(x)
	case towpath.StrategyRolling:
		readJudged(x, &spec, towpath.DefaultInterval, towpath.DefaultDeadline)
		spec.Surge, spec.Unavailable = readShare(x, "surge", "25%"), readShare(x, "unavailable", "0")
		spec.For = x.duration("for", 0, 0, 7*24*time.Hour)
		if n, ok := x.value("surge"); ok && spec.Surge.Of(1, true)+spec.Unavailable.Of(100, false) == 0 {
			o.r.problem(n, x.at("surge"), "with neither surge nor unavailable instances nothing can be replaced", "write surge: 1")
		}
	}
	if spec.Strategy != towpath.StrategyAllAtOnce {
		spec.Mirror = readMirror(x)
	}
	if spec.Strategy == towpath.StrategyCanary || spec.Strategy == towpath.StrategyRolling {
		spec.Sticky = readSticky(x)
	}
	spec.Keep = x.duration("keep", 0, time.Second, 7*24*time.Hour)
	return spec
}

// readProgress reads how long an operation may be under way; 0: it is left out.
func readProgress(x object, timeout time.Duration) time.Duration {
	progress := x.duration("progress", 0, time.Second, 7*24*time.Hour)
	if n, ok := x.value("progress"); ok && progress > 0 && progress < timeout {
		x.r.problem(n, x.at("progress"), fmt.Sprintf("%s is shorter than the time for a single step, %s", progress, timeout),
			"let progress be longer than timeout, so that a step can be tried again")
	}
	return progress
}

// onlyOf reports keys that are for another strategy.
func onlyOf(x object, strategy towpath.RolloutStrategy) {
	allowed := rolloutKeys[strategy]
	seen := map[string]bool{}
	for _, other := range []towpath.RolloutStrategy{towpath.StrategyCanary, towpath.StrategyRolling, towpath.StrategyBlueGreen} {
		for _, key := range rolloutKeys[other] {
			n, ok := x.value(key)
			if !ok || seen[key] || slices.Contains(allowed, key) {
				continue
			}
			seen[key] = true
			x.r.problem(n, x.at(key), fmt.Sprintf("%s is not for the strategy %s", key, strategy), fmt.Sprintf("write strategy: %s, or take %s out", other, key))
		}
	}
}

// readJudged reads what is common to the strategies that are judged.
func readJudged(x object, spec *towpath.RolloutSpec, interval, deadline time.Duration) {
	spec.Interval = x.duration("interval", interval, time.Second, time.Hour)
	spec.Deadline = x.duration("deadline", deadline, time.Second, 7*24*time.Hour)
	if choice(x, "undecided", "proceed", "proceed", "hold") == "hold" {
		spec.Undecided = towpath.UndecidedHolds
	}
}

func readPreview(rollout object) *towpath.RolloutStep {
	x, ok := rollout.child("preview")
	if !ok {
		return nil
	}
	x.only("for", "manual")
	s := &towpath.RolloutStep{For: x.duration("for", 0, 0, 7*24*time.Hour), Manual: x.boolean("manual")}
	if s.For == 0 && !s.Manual {
		x.r.problem(x.n, rollout.at("preview"), "nothing says how long the new revision can be looked at", "write preview: {manual: true}, or {for: 10m}")
	}
	return s
}

// maxShare bounds a share that is a number of instances.
const maxShare = 1000

// readShare reads a number of instances, or a part of them in percent.
func readShare(x object, key string, otherwise towpath.Share) towpath.Share {
	n, ok := x.value(key)
	if !ok {
		return otherwise
	}
	text, percent := strings.CutSuffix(n.text, "%")
	most := maxShare
	if percent {
		most = 100
	}
	v, err := strconv.Atoi(text)
	if n.kind != kindString && n.kind != kindInt || err != nil || v < 0 || v > most {
		x.r.problem(n, x.at(key), "this is no number of instances, nor a part of them", "write 2, or 25%")
		return otherwise
	}
	return towpath.Share(strings.TrimPrefix(n.text, "+"))
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
		before := len(rollout.r.problems)
		x.need("weight", "say what share of the traffic the new revision gets, in percent: weight: 5")
		s := towpath.RolloutStep{
			Weight: x.integer("weight", 1, 1, 99), For: x.duration("for", 0, 0, 7*24*time.Hour), Manual: x.boolean("manual"),
		}
		if last := len(out) - 1; last >= 0 && s.Weight <= out[last].Weight && len(rollout.r.problems) == before {
			rollout.r.problem(e.n, x.at("weight"), fmt.Sprintf("%d %% come after %d %%", s.Weight, out[last].Weight), "let the weights grow from step to step")
		}
		out = append(out, s)
	}
	return out
}
