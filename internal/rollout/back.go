package rollout

import (
	"maps"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// Back is [Strategies] for a rollback, which is as fast as can be: all of the
// traffic moves at once, and what can't run beside the other one still does not.
// It moves in the order of [Rollout.After], by the dependencies of the release
// that is gone back to and of those that run, as far as they are known.
func Back(rollouts []towpath.Rollout, content *towpath.ReleaseContent, inForce towpath.EnvironmentSpec, run ...*towpath.ReleaseContent) {
	for i := range rollouts {
		r := &rollouts[i]
		if c, ok := content.Component(r.Component); ok && r.Action == towpath.ActionReplace && strategyOf(c, inForce) == towpath.StrategyAllAtOnce {
			r.Scales = allAtOnce()
		}
	}
	late(rollouts)
	backwards(rollouts, dependencies(content, run))
	removals(rollouts, dependencies(nil, run))
}

// backwards orders a rollback as a promotion between the two releases would run
// if time went back. What comes back first gets its traffic first: nobody uses it
// yet, and what needs it will. What is there in both moves after all that need
// it.
func backwards(rollouts []towpath.Rollout, n needs) {
	for i := range rollouts {
		r := &rollouts[i]
		if r.Action == towpath.ActionRemove {
			continue
		}
		for _, x := range rollouts {
			first := x.Action == towpath.ActionCreate && n.reach(r.Component)[x.Component] ||
				x.Action == r.Action && n.reach(x.Component)[r.Component]
			if first && x.Component != r.Component {
				r.After = append(r.After, x.Component)
			}
		}
	}
}

// removals orders what goes away against the dependencies of what ran: each after
// those that needed it have gone away, or their revisions that did have ended.
func removals(rollouts []towpath.Rollout, n needs) {
	for i := range rollouts {
		r := &rollouts[i]
		if r.Action != towpath.ActionRemove {
			continue
		}
		for _, x := range rollouts {
			if x.Action != towpath.ActionCreate && x.Component != r.Component && n.reach(x.Component)[r.Component] {
				r.After = append(r.After, x.Component)
			}
		}
	}
}

// needs are what components need directly.
type needs map[towpath.ComponentName][]towpath.ComponentName

// dependencies are those of a release, and of each other one unless the two
// contradict each other: an order that goes in a circle would never begin.
func dependencies(content *towpath.ReleaseContent, others []*towpath.ReleaseContent) needs {
	all := needs{}
	for _, c := range append([]*towpath.ReleaseContent{content}, others...) {
		if c == nil {
			continue
		}
		if more := all.and(c); !more.circular() {
			all = more
		}
	}
	return all
}

func (n needs) and(content *towpath.ReleaseContent) needs {
	out := maps.Clone(n)
	for _, c := range content.Components {
		out[c.Name] = slices.Concat(out[c.Name], c.DependsOn)
	}
	return out
}

// reach is all that a component needs, also by way of others.
func (n needs) reach(name towpath.ComponentName) map[towpath.ComponentName]bool {
	seen := map[towpath.ComponentName]bool{}
	todo := slices.Clone(n[name])
	for len(todo) > 0 {
		next := todo[0]
		if todo = todo[1:]; !seen[next] {
			seen[next] = true
			todo = append(todo, n[next]...)
		}
	}
	return seen
}

func (n needs) circular() bool {
	for name := range n {
		if n.reach(name)[name] {
			return true
		}
	}
	return false
}
