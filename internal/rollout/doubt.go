package rollout

import (
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// Doubt marks the rollouts of what deployments before left in doubt. Should is
// what the environment is said to run; nil: nobody can tell.
func Doubt(rollouts []towpath.Rollout, running []Running, should *towpath.ReleaseEnvironment) {
	for i := range rollouts {
		r := &rollouts[i]
		if now, ok := find(running, r.Component); !ok || !now.Unsure {
			continue
		}
		r.Doubt = &towpath.Doubt{}
		if should != nil {
			c, _ := should.Component(r.Component)
			r.Doubt.Ends = r.From == c.Revision
		}
	}
}

// InDoubt lists the components of which it is still in doubt what runs once a
// deployment has gone back: those that were so before, and that were not brought
// back to what the environment is said to run.
func InDoubt(d *towpath.Deployment) []towpath.ComponentName {
	var out []towpath.ComponentName
	for i := range d.Components {
		if r := &d.Components[i]; r.Doubt != nil && (!r.Doubt.Ends || !back(r)) {
			out = append(out, r.Component)
		}
	}
	slices.Sort(out)
	return out
}
