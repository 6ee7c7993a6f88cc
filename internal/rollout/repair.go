package rollout

import (
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// Repair lists the rollouts of a repair: components that run what they are to
// run already, replaced by the same, in dependency order. Those of which that
// isn't certain, or that the release does not have so, are left out. What can't run
// twice is stopped first.
func Repair(content *towpath.ReleaseContent, env towpath.ReleaseEnvironment, running []Running, components []towpath.ComponentName) []towpath.Rollout {
	var chosen []Running
	for _, r := range running {
		rendered, ok := env.Component(r.Component)
		if ok && slices.Contains(components, r.Component) && !r.Unsure && r.Revision != "" && r.Revision == rendered.Revision {
			r.Unsure = true // otherwise New leaves out what runs already
			chosen = append(chosen, r)
		}
	}
	out := slices.DeleteFunc(New(content, env, chosen, nil), func(r towpath.Rollout) bool { return r.Action != towpath.ActionReplace })
	for i := range out {
		out[i].Progress *= RepairSteps
		if onceIn(content, out[i].Component) {
			out[i].Scales = &towpath.Scales{Repair: &towpath.Scale{}}
		}
	}
	return out
}

// RepairSteps is how many steps of a deployment a repair makes in one: prepare,
// verify, verify with traffic, and retire.
const RepairSteps = 4

// repair replaces one component at a time. A step that fails leaves the traffic
// where it is: there is nothing to undo.
func repair(d *towpath.Deployment) Decision {
	if d.Phase != towpath.DeploymentPreparing {
		return Decision{Trigger: towpath.TriggerReverted, Reason: "what ran before the repair goes on running"}
	}
	var dec Decision
	for i := range d.Components {
		r := &d.Components[i]
		step, issued := r.Find(towpath.VerbRepair)
		if !issued {
			dec.Issue = append(dec.Issue, Issue{Component: r.Component, Verb: towpath.VerbRepair, Revision: r.To, Scale: r.Scales.Of(towpath.VerbRepair)})
			return dec
		}
		if done, back := passed(&dec, r, step); back != nil {
			return *back
		} else if !done {
			return dec
		}
	}
	return Decision{Trigger: towpath.TriggerRepaired, Reason: repairedReason(d)}
}

func repairedReason(d *towpath.Deployment) string {
	if len(d.Components) == 1 {
		return fmt.Sprintf("%s runs from fresh files", d.Components[0].Component)
	}
	return fmt.Sprintf("%d components run from fresh files", len(d.Components))
}
