package rollout

import (
	"cmp"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// Strategies has each component that replaces a revision do so by its strategy,
// unless the environment's rules in force say otherwise. What nothing runs
// beside moves at once: there is nothing to compare it with. It is judged by the
// objectives in force, those of the release that runs (nil: none does), and by
// what the new one adds: none can loosen what it is judged by itself. What goes
// away does so against the dependencies of the release that runs.
func Strategies(rollouts []towpath.Rollout, content, running *towpath.ReleaseContent, rendered towpath.ReleaseEnvironment, inForce towpath.EnvironmentSpec) {
	for i := range rollouts {
		r := &rollouts[i]
		c, ok := content.Component(r.Component)
		if ok && r.Action == towpath.ActionCreate {
			unjudged(r, "nothing ran there that it could have been compared with", objectives(content, running, r.Component))
		}
		if !ok || r.Action != towpath.ActionReplace {
			continue
		}
		r.Keep = c.Rollout.Keep
		switch strategyOf(c, inForce) {
		case towpath.StrategyAllAtOnce:
			r.Scales, r.Keep = allAtOnce(), 0
			if inForce.Rollout == "" {
				spec := inForceAfter(c, running)
				spec.Preview, spec.Mirror = nil, nil // nothing can run beside it
				atOnce(r, spec, objectives(content, running, r.Component))
			}
		case towpath.StrategyBlueGreen:
			if inForce.Rollout == "" {
				atOnce(r, inForceAfter(c, running), objectives(content, running, r.Component))
			}
		case towpath.StrategyCanary:
			if len(c.Rollout.Steps) > 0 && r.From != r.To {
				r.Canary = &towpath.Canary{Spec: c.Rollout, Objectives: objectives(content, running, r.Component)}
				r.Canary.Spec.Steps = mirrored(c.Rollout, c.Rollout.Steps...)
			}
		case towpath.StrategyRolling:
			env, _ := rendered.Component(r.Component)
			if r.From != r.To {
				rolling(r, c.Rollout, max(env.Instances, 1), objectives(content, running, r.Component))
			}
		}
		if inForce.Rollout != "" && r.Canary == nil && r.From != r.To {
			unjudged(r, "everything is deployed there by "+string(inForce.Rollout)+", without a comparison", objectives(content, running, r.Component))
		}
	}
	late(rollouts)
	removals(rollouts, dependencies(running, nil))
}

func strategyOf(c towpath.ReleaseComponent, inForce towpath.EnvironmentSpec) towpath.RolloutStrategy {
	if inForce.Rollout != "" {
		return inForce.Rollout
	}
	return c.Rollout.Strategy
}

// objectives are those that a component is judged by. Of one name there may be one
// for another component in what runs: that takes the place of none.
func objectives(content, running *towpath.ReleaseContent, name towpath.ComponentName) []towpath.Objective {
	elsewhere := func(o towpath.Objective) bool { return o.Component != "" && o.Component != name }
	var all []towpath.Objective
	if running != nil {
		all = slices.DeleteFunc(slices.Clone(running.Objectives), elsewhere)
	}
	for _, o := range content.Objectives {
		if !elsewhere(o) && !slices.ContainsFunc(all, func(x towpath.Objective) bool { return x.Name == o.Name }) {
			all = append(all, o)
		}
	}
	return all
}

// unjudged keeps which objectives a component is not judged by, and why.
func unjudged(r *towpath.Rollout, why string, by []towpath.Objective) {
	for _, o := range by {
		if o.Judges() {
			r.Unjudged = append(r.Unjudged, towpath.Unseen{Component: r.Component, Objective: o.Name, Why: why, Unasked: true})
		}
	}
}

// allAtOnce leaves no room for two revisions, on the way back neither.
func allAtOnce() *towpath.Scales {
	return &towpath.Scales{Prepare: &towpath.Scale{}, Switch: &towpath.Scale{}, Restore: &towpath.Scale{}, Late: true}
}

// atOnce has a revision that gets all of the traffic at once looked at, or given
// copies of requests, before, and judged after, while the one that it replaces
// can be brought back.
func atOnce(r *towpath.Rollout, spec towpath.RolloutSpec, by []towpath.Objective) {
	var steps []towpath.RolloutStep
	if spec.Preview != nil {
		steps = append(steps, *spec.Preview)
	}
	if spec.Mirror != nil && r.From != r.To {
		steps = append(steps, *spec.Mirror)
	}
	if spec.For > 0 && r.From != r.To {
		steps = append(steps, towpath.RolloutStep{Weight: 100, For: spec.For})
	}
	if !slices.ContainsFunc(steps, towpath.RolloutStep.Judged) {
		by = nil
	}
	if len(steps) == 0 {
		return
	}
	r.Canary = &towpath.Canary{Spec: spec, Objectives: by}
	r.Canary.Spec.Steps = steps
	r.Canary.Spec.Interval = cmp.Or(spec.Interval, towpath.DefaultInterval)
	r.Canary.Spec.Deadline = cmp.Or(spec.Deadline, towpath.DefaultDeadline)
}

// inForceAfter is how long a component is judged after its switch: as the release
// says that is to run, or if it does not, the one that runs. None is judged
// less for saying so itself.
func inForceAfter(c towpath.ReleaseComponent, running *towpath.ReleaseContent) towpath.RolloutSpec {
	spec := c.Rollout
	if running == nil || spec.For > 0 {
		return spec
	}
	was, ok := running.Component(c.Name)
	if s := was.Rollout.Strategy; ok && (s == towpath.StrategyBlueGreen || s == towpath.StrategyAllAtOnce) {
		spec.For = was.Rollout.For
	}
	return spec
}

// mirrored are steps, and the one with copies of requests before them, if there
// is to be one.
func mirrored(spec towpath.RolloutSpec, steps ...towpath.RolloutStep) []towpath.RolloutStep {
	if spec.Mirror == nil {
		return slices.Clone(steps)
	}
	return append([]towpath.RolloutStep{*spec.Mirror}, steps...)
}

// rolling replaces instances in batches, by n others: at no moment do more than
// the surge run besides as many as ran or are wanted, nor fewer than there were,
// or are to be, without those that may be unavailable. After each batch the new
// revision has as much of the traffic as of its instances, and is judged like a
// canary. The last batch is the switch; what is replaced in one is judged after
// that. What shrinks keeps the old instances that there is room for: only the
// judgement tells that fewer new ones will do. What has to end for the first batch
// answers nothing that could be copied, and nobody else does meanwhile.
func rolling(r *towpath.Rollout, spec towpath.RolloutSpec, n int, by []towpath.Objective) {
	surge, fewer := spec.Room(n)
	batch, most := spec.Batch(n), n
	if r.Before != nil {
		most = max(n, r.Before.Instances)
	}
	r.Scales = &towpath.Scales{
		Prepare: &towpath.Scale{Instances: batch, Room: most + surge - batch},
		Switch:  &towpath.Scale{Instances: n, Room: most + surge - n},
		Late:    fewer > 0,
	}
	if r.StopsFirst() {
		spec.Mirror = nil
	}
	r.Canary = &towpath.Canary{Spec: spec, Objectives: by}
	r.Canary.Spec.Steps = mirrored(spec)
	for k := batch; k < n; k += batch {
		step := towpath.RolloutStep{
			Weight: min(max(100*k/n, 1), 99), For: spec.For,
			Scale: &towpath.Scale{Instances: k, Room: most + surge - k, Rest: n - k},
		}
		if most > n {
			step.Scale.Rest = step.Scale.Room
		}
		r.Canary.Spec.Steps = append(r.Canary.Spec.Steps, step)
	}
	if batch == n && len(by) > 0 {
		r.Canary.Spec.Steps = append(r.Canary.Spec.Steps, towpath.RolloutStep{Weight: 100, For: cmp.Or(spec.For, towpath.DefaultFor)})
	}
}

// late has what needs a component that is prepared late prepared late as well.
// Rollouts are in dependency order.
func late(rollouts []towpath.Rollout) {
	for i := range rollouts {
		r := &rollouts[i]
		waits := slices.ContainsFunc(rollouts[:i], func(x towpath.Rollout) bool {
			return x.Scales != nil && x.Scales.Late && slices.Contains(r.DependsOn, x.Component)
		})
		if !waits || r.Action == towpath.ActionRemove {
			continue
		}
		if r.Scales == nil {
			r.Scales = &towpath.Scales{}
		}
		r.Scales.Late = true
	}
}
