package projectfile

import (
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// judging are the objectives by which a component is judged.
func judging(c component, objectives []towpath.Objective) []towpath.Objective {
	return slices.DeleteFunc(slices.Clone(objectives), func(x towpath.Objective) bool {
		return x.Component != "" && x.Component != c.spec.Name
	})
}

// checkMirrors reports copies of requests that nothing is judged by.
func (r *reader) checkMirrors(components []component, objectives []towpath.Objective, o object) {
	for _, c := range components {
		if c.spec.Rollout.Mirror == nil || slices.ContainsFunc(judging(c, objectives), towpath.Objective.Counted) {
			continue
		}
		path := c.path + ".rollout.mirror"
		at, _ := o.n.find(path)
		r.problem(at, path, "no objective says what is to become of the copies",
			"add one of kind errors or latency: objectives: [{name: errors, kind: errors, target: 0.999}]")
	}
}

// checkJudged reports rollouts by steps that time alone takes to the end, unless
// the file says that this is meant; and files that say so of what is judged.
func (r *reader) checkJudged(components []component, objectives []towpath.Objective, o object) {
	for _, c := range components {
		if s := c.spec.Rollout.Strategy; s != towpath.StrategyCanary && s != towpath.StrategyRolling {
			continue
		}
		rollout, _ := o.n.find(c.path + ".rollout")
		said, explicit := rollout.get("judged")
		meant := explicit && said.kind == kindBool && said.text == "false"
		by := judging(c, objectives)
		switch {
		case len(by) == 0 && !meant:
			path := c.path + ".rollout.strategy"
			at, _ := o.n.find(path)
			r.problem(at, path, fmt.Sprintf("nothing judges it: no objective is for %s, so each step ends by its time alone", c.spec.Name),
				"add an objective: objectives: [{name: errors, kind: errors, target: 0.999}], or say that this is meant: judged: false")
		case len(by) > 0 && meant:
			r.problem(said, c.path+".rollout.judged", fmt.Sprintf("it is judged: the objective %s is for %s", by[0].Name, c.spec.Name),
				"take judged out, or give the objective the component that it is for")
		}
	}
}
