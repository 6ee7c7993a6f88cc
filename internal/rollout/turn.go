package rollout

import (
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// turn are the components whose traffic it is that moves now. There is one as
// long as not all have moved.
func turn(d *towpath.Deployment) []*towpath.Rollout {
	var out []*towpath.Rollout
	for _, begun := range []bool{true, false} { // what moves already keeps its turn
		for i := range d.Components {
			r := &d.Components[i]
			if r.Action != towpath.ActionRemove && !moved(r) && moving(r) == begun && itsTurn(d, r) && len(out) < max(d.Concurrent, 1) {
				out = append(out, r)
			}
		}
	}
	return out
}

// moving reports whether a component has begun to move: its traffic, or what runs
// to make room for it.
func moving(r *towpath.Rollout) bool {
	return slices.ContainsFunc(r.Steps, func(s towpath.Step) bool {
		return s.Verb == towpath.VerbShift || s.Verb == towpath.VerbSwitch || s.Verb == towpath.VerbPrepare && r.Scales != nil && r.Scales.Late
	})
}

// moved reports whether a component has all of its traffic on the new revision,
// verified, and judged where it is to be.
func moved(r *towpath.Rollout) bool {
	step, ok := r.Find(towpath.VerbVerifyAfter)
	_, after := r.Canary.AfterSwitch()
	return ok && step.Phase == towpath.OperationSucceeded && (!after || !r.Canary.Over.IsZero())
}

// circle are the components that wait for each other, by what is stored of a
// deployment: none of them would ever move, and that none does is no success.
func circle(d *towpath.Deployment) []towpath.ComponentName {
	n := needs{}
	for i := range d.Components {
		for j := range d.Components {
			first, r := &d.Components[i], &d.Components[j]
			if first.Action != towpath.ActionRemove && r.Action != towpath.ActionRemove && precedes(d, first, r) {
				n[r.Component] = append(n[r.Component], first.Component)
			}
		}
	}
	var out []towpath.ComponentName
	for _, r := range d.Components {
		if n.reach(r.Component)[r.Component] {
			out = append(out, r.Component)
		}
	}
	return out
}

func commas(names []towpath.ComponentName) string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return strings.Join(out, ", ")
}

// itsTurn reports whether all that moves before a component has moved.
func itsTurn(d *towpath.Deployment, r *towpath.Rollout) bool {
	return !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		return other.Action != towpath.ActionRemove && precedes(d, &other, r) && !moved(&other)
	})
}

// precedes reports whether a component moves before another one: because that
// needs it, or in a rollback, where users must not meet what needs the newer one
// beside the older one, because it needs that. It goes away in either after what
// needs it.
func precedes(d *towpath.Deployment, first, r *towpath.Rollout) bool {
	if d.Kind == towpath.DeploymentRollback || r.Action == towpath.ActionRemove {
		return slices.Contains(r.After, first.Component)
	}
	return slices.Contains(r.DependsOn, first.Component)
}

func dependenciesPrepared(d *towpath.Deployment, r *towpath.Rollout) bool {
	return !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		if other.Action == towpath.ActionRemove || other.Scales != nil && other.Scales.Late || !slices.Contains(r.DependsOn, other.Component) {
			return false
		}
		step, ok := other.Find(towpath.VerbVerifyBefore)
		return !ok || step.Phase != towpath.OperationSucceeded
	})
}
