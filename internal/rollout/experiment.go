package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// experimentInterval is how often an experiment is counted where the release
// does not say.
const experimentInterval = 10 * time.Second

// experimentCounts is how often a short experiment is counted: twice in each span
// that its report is cut into, because agents come a little late.
const experimentCounts = 120

// Experiment has the one component that a release changes share its traffic for
// as long as an experiment takes. It returns why that can't be, as a sentence
// without its full stop, with what to do about it. Both are compared by the objectives in
// force, those of the release that runs, and by what the new one adds.
func Experiment(rollouts []towpath.Rollout, content, running *towpath.ReleaseContent, e *towpath.Experiment) (problem, hint string) {
	switch {
	case len(rollouts) == 0:
		return "the release changes nothing there, so there is nothing to compare", "`towpath release diff` shows what differs"
	case len(rollouts) > 1:
		var names []string
		for _, r := range rollouts {
			names = append(names, string(r.Component))
		}
		return "the release changes " + strings.Join(names, ", ") + ", and requests would meet any mixture of them",
			"an experiment is about one component: release its change alone"
	case rollouts[0].Action != towpath.ActionReplace || rollouts[0].From == rollouts[0].To:
		return fmt.Sprintf("%s has no other revision there to be compared with", rollouts[0].Component), "promote it; then the next release can be compared"
	}
	r := &rollouts[0]
	c, _ := content.Component(r.Component)
	if onceIn(content, r.Component) || onceIn(running, r.Component) {
		return fmt.Sprintf("%s is deployed all-at-once, so it can't run twice, and both revisions would run at the same time", r.Component),
			"if it can, release it with another strategy first; else promote it, and look at it after its switch (`for`)"
	}
	by := objectives(content, running, r.Component)
	if name := taken(by, e); name != "" {
		return fmt.Sprintf("%s has an objective %q, and something else that is measured has that name too", r.Component, name),
			fmt.Sprintf("measure under another name; `--on %s` compares by the objective", name)
	}
	known := append(slices.Clone(by), e.Counted()...)
	for _, name := range e.On {
		if name != towpath.CostMeasure && !slices.ContainsFunc(known, func(o towpath.Objective) bool { return o.Name == name }) {
			return fmt.Sprintf("%s has no objective %q, neither in what runs nor in the release", r.Component, name), "they are " + listed(known)
		}
	}
	spec := c.Rollout
	spec.Strategy, spec.Interval = towpath.StrategyCanary, min(cmp.Or(c.Rollout.Interval, experimentInterval), max(e.For/experimentCounts, time.Second))
	spec.Steps = []towpath.RolloutStep{{Weight: e.Share, For: e.For}}
	spec.Preview, spec.Mirror, spec.Sticky = nil, nil, nil // its own settings say who stays
	// Both revisions have to be there whole, and at once.
	r.Canary, r.Scales, r.Keep = &towpath.Canary{Spec: spec, Objectives: known}, nil, 0
	return "", ""
}

// onceIn reports whether a component can't run twice, as a release says. An
// environment that has everything deployed all-at-once says nothing about that.
func onceIn(content *towpath.ReleaseContent, name towpath.ComponentName) bool {
	if content == nil {
		return false
	}
	c, ok := content.Component(name)
	return ok && c.Rollout.Strategy == towpath.StrategyAllAtOnce
}

// StillCompared returns why the release of an experiment can't take the place of
// what an environment runs, as a sentence without its full stop, with what to do about it;
// empty: it was compared with that, or runs already. What is under way there must
// not change that first; nil: nothing is.
func StillCompared(x *towpath.Deployment, env towpath.Environment, active *towpath.Deployment) (problem, hint string) {
	switch {
	case env.Candidate == x.Candidate:
		return "", ""
	case env.Release != x.Previous:
		return Replaced(x.Version, x.PreviousVersion, env)
	case active != nil && active.Candidate != x.Candidate && active.Release != env.Release:
		return fmt.Sprintf("%s was compared with %s, and %s is on its way into %s", x.Version, x.PreviousVersion, active.Version, env.Name),
			fmt.Sprintf("`towpath status %s` shows how far it is; when it stays, compare them: `towpath experiment start %[1]s %s`", env.Name, x.Version)
	}
	return "", ""
}

// Replaced says that an environment has come to run something that a release was
// not compared with, and what to do about it.
func Replaced(version, with string, env towpath.Environment) (problem, hint string) {
	return fmt.Sprintf("%s was compared with %s, and %s runs %s by now", version, with, env.Name, env.Version),
		fmt.Sprintf("compare them: `towpath experiment start %s %s`", env.Name, version)
}

// taken is the name of an objective that something else is to be measured under,
// or the cost; empty: none is.
func taken(by []towpath.Objective, e *towpath.Experiment) string {
	for _, o := range by {
		if e.Prices != nil && o.Name == towpath.CostMeasure ||
			slices.ContainsFunc(e.Counted(), func(m towpath.Objective) bool { return m.Name == o.Name }) {
			return o.Name
		}
	}
	return ""
}

// listed names what may be compared by, but for parts of the cost.
func listed(all []towpath.Objective) string {
	var names []string
	for _, o := range all {
		if !towpath.IsCostItem(o.Name) {
			names = append(names, o.Name)
		}
	}
	return strings.Join(append(names, towpath.CostMeasure), ", ")
}

// experiment holds the traffic of a component as it is until the time is over,
// whatever its judgement says, unless that is worse.
func experiment(d *towpath.Deployment, seen Seen) Decision {
	var dec Decision
	r := &d.Components[0]
	if j := seen.Judgements[r.Component]; j != nil && j.Outcome == towpath.JudgedWorse {
		return Decision{Trigger: towpath.TriggerWorse, Reason: fmt.Sprintf("the new revision of %s is worse at %d %%: %s", r.Component, r.Share(), j.Sentence)}
	}
	s := r.Canary.Spec.Steps[0]
	step := begun(r, s)
	if step.Phase == "" {
		return Decision{Issue: []Issue{{Component: r.Component, Verb: towpath.VerbShift, Revision: r.To, Weight: s.Weight}}}
	}
	if done, back := passed(&dec, r, step); !done {
		if back != nil {
			return *back
		}
		return dec
	}
	left := step.Ended.Add(s.For).Sub(seen.Now)
	if left <= 0 {
		return Decision{Trigger: towpath.TriggerOver, Reason: fmt.Sprintf("the experiment is over after %s", s.For)}
	}
	again := seen.Now.Add(min(left, max(r.Canary.Spec.Interval, time.Second)))
	return Decision{Again: again, Waiting: fmt.Sprintf("%s has %d %% of the traffic for another %s, as an experiment: `towpath experiment show %s`",
		r.Component, s.Weight, left.Round(time.Second), d.Environment)}
}
