package rollout

import (
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// retire stops what the release replaced. It can't fail the deployment, which
// has succeeded for its users already: a failed step is issued again. What goes
// away does so after what needs it.
func retire(d *towpath.Deployment) Decision {
	var dec Decision
	all := true
	for i := range d.Components {
		r := &d.Components[i]
		is := Issue{Component: r.Component, Verb: towpath.VerbRetire, Revision: r.To, Keep: r.Keep}
		if r.Action == towpath.ActionRemove {
			is = Issue{Component: r.Component, Verb: towpath.VerbRemove}
		}
		if !dependentsEnded(d, r) {
			all = false
			continue
		}
		all = again(&dec, r, is) && all
	}
	if all {
		return Decision{Trigger: towpath.TriggerRetired, Reason: "the old revisions are drained and stopped"}
	}
	return dec
}

// dependentsEnded reports whether all that needs what goes away has ended: it was
// removed, or its revision that did is retired.
func dependentsEnded(d *towpath.Deployment, r *towpath.Rollout) bool {
	return r.Action != towpath.ActionRemove || !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		verb := towpath.VerbRetire
		if other.Action == towpath.ActionRemove {
			verb = towpath.VerbRemove
		}
		step, ok := other.Find(verb)
		return precedes(d, &other, r) && (!ok || step.Phase != towpath.OperationSucceeded)
	})
}
