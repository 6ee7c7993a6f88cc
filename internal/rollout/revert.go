package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// revert sends traffic back, what moved last before what it waited for, then stops the
// revisions that failed. Only components that the deployment touched need it. What
// can't be brought back stops those that go back after it, and nothing else.
func revert(d *towpath.Deployment) Decision {
	var dec Decision
	var stuck, left []string
	all, going := true, false
	ordered := len(circle(d)) == 0 // what waits for each other would never go back
	for i := range slices.Backward(d.Components) {
		r := &d.Components[i]
		if !touched(d, r) || back(r) {
			continue
		}
		all = false
		if ordered && !laterOnesBack(d, r) {
			left = append(left, string(r.Component))
			continue
		}
		own, why := restore(r)
		if why != "" {
			stuck = append(stuck, why)
			continue
		}
		going = true
		dec.add(own)
	}
	switch {
	case len(stuck) > 0 && !going:
		if len(left) > 0 {
			why := "left as it is because that needs it: "
			if d.Kind == towpath.DeploymentRollback {
				why = "left as it is because it needs that: "
			}
			stuck = append(stuck, why+strings.Join(left, ", "))
		}
		return Decision{Trigger: towpath.TriggerGiveUp, Reason: strings.Join(stuck, "; ")}
	case len(stuck) > 0:
		dec.Waiting = strings.Join(slices.DeleteFunc(append(stuck, dec.Waiting), func(s string) bool { return s == "" }), "; ")
		return dec
	case !all:
		return dec
	}
	for i := range d.Components {
		r := &d.Components[i]
		if touched(d, r) && r.From != "" {
			all = again(&dec, r, Issue{Component: r.Component, Verb: towpath.VerbRetire, Revision: r.From}) && all
		}
	}
	if all {
		return reverted(d)
	}
	return dec
}

// reverted ends a deployment that has gone back. What was in doubt before it is
// not called the previous release.
func reverted(d *towpath.Deployment) Decision {
	doubt := ""
	if in := InDoubt(d); len(in) > 0 {
		doubt = "; it is still in doubt what runs of " + commas(in)
	}
	switch {
	case d.Experiment != nil && !d.Experiment.Ended.IsZero():
		has := "; the previous release has all of the traffic again"
		if doubt != "" {
			has = "; what ran before has all of the traffic again" + doubt
		}
		return Decision{Trigger: towpath.TriggerReturned, Reason: d.Cause + has}
	case doubt != "":
		return Decision{Trigger: towpath.TriggerReverted, Reason: "what ran before runs again" + doubt}
	case d.Previous == "":
		return Decision{Trigger: towpath.TriggerReverted, Reason: "what it had started is gone again; nothing ran before"}
	}
	return Decision{Trigger: towpath.TriggerReverted, Reason: "the previous release runs again"}
}

// restore takes one component back, or says why it can't be.
func restore(r *towpath.Rollout) (dec Decision, stuck string) {
	if r.From == "" {
		again(&dec, r, Issue{Component: r.Component, Verb: towpath.VerbRemove})
		return dec, ""
	}
	step, issued := r.Find(towpath.VerbRestore)
	switch {
	case !issued:
		dec.Issue = append(dec.Issue, Issue{
			Component: r.Component, Verb: towpath.VerbRestore, Revision: r.From, Scale: r.Scales.Of(towpath.VerbRestore),
		})
	case step.Phase == towpath.OperationFailed || step.Phase == towpath.OperationStale:
		return dec, fmt.Sprintf("%s could not be brought back to its previous revision: %s", r.Component, step.Message)
	default:
		dec.Waiting, dec.Asks = waitingFor(r.Component, step)
	}
	return dec, ""
}

// back reports whether a component is as it was before the deployment.
func back(r *towpath.Rollout) bool {
	verb := towpath.VerbRestore
	if r.From == "" {
		verb = towpath.VerbRemove
	}
	step, ok := r.Find(verb)
	return ok && step.Phase == towpath.OperationSucceeded
}

// laterOnesBack reports whether all that moves after a component is as it was.
func laterOnesBack(d *towpath.Deployment, r *towpath.Rollout) bool {
	return !slices.ContainsFunc(d.Components, func(other towpath.Rollout) bool {
		return precedes(d, r, &other) && touched(d, &other) && !back(&other)
	})
}

// touched reports whether a component has to be brought back: not one of which
// everything was withdrawn before an agent took it up. Under a plan
// whose base had moved only what took from what ran is: what else runs there is
// not what the deployment took it for, and the next plan replaces it.
func touched(d *towpath.Deployment, r *towpath.Rollout) bool {
	if !d.Stale {
		return slices.ContainsFunc(r.Steps, func(s towpath.Step) bool {
			return s.Phase != towpath.OperationCancelled || !s.Began.IsZero()
		})
	}
	took := func(v towpath.Verb) bool {
		return slices.ContainsFunc(r.Steps, func(s towpath.Step) bool {
			return s.Verb == v && s.Phase != towpath.OperationStale && (v != towpath.VerbShift || s.Weight > 0) // copies take nothing
		})
	}
	return took(towpath.VerbShift) || took(towpath.VerbSwitch) || r.Scales.Of(towpath.VerbPrepare) != nil && took(towpath.VerbPrepare)
}
