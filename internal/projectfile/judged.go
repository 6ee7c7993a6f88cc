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
// the file says that this is meant; and files that say so of what is judged. What
// gets all of the traffic at once is judged after that by the objectives for it. More
// objectives than a component can be judged by are reported as well.
func (r *reader) checkJudged(components []component, objectives []towpath.Objective, o object) {
	for i := range components {
		c := &components[i]
		if n := len(judging(*c, objectives)); n > towpath.MaxObjectives {
			at, _ := o.n.find("objectives")
			r.problem(at, "objectives", fmt.Sprintf("%d objectives are for %s, and at most %d are allowed", n, c.spec.Name, towpath.MaxObjectives),
				"take some out, or give each the component that it is for")
		}
		if s := c.spec.Rollout.Strategy; s == towpath.StrategyBlueGreen || s == towpath.StrategyAllAtOnce {
			r.judgeAfter(c, judging(*c, objectives), o)
			continue
		}
		rollout, _ := o.n.find(c.path + ".rollout")
		said, explicit := rollout.get("judged")
		meant := explicit && said.kind == kindBool && said.text == "false"
		by := judging(*c, objectives)
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

// judgeAfter has what is switched to judged for a while, where there is something
// to judge it by.
func (r *reader) judgeAfter(c *component, by []towpath.Objective, o object) {
	spec, path := &c.spec.Rollout, c.path+".rollout"
	rollout, _ := o.n.find(path)
	said, explicit := rollout.get("judged")
	long, written := rollout.get("for")
	meant := explicit && said.kind == kindBool && said.text == "false"
	switch {
	case meant && len(by) > 0 && (spec.For > 0 || spec.Mirror != nil):
		r.problem(said, path+".judged", fmt.Sprintf("it is judged: the objective %s is for %s", by[0].Name, c.spec.Name),
			"take judged out, or for and mirror")
	case meant:
	case written && spec.For > 0 && len(by) == 0:
		r.problem(long, path+".for", fmt.Sprintf("nothing judges it: no objective is for %s, so its time after the switch ends by itself", c.spec.Name),
			"add an objective: objectives: [{name: errors, kind: errors, target: 0.999}], or say that this is meant: judged: false")
	case written && spec.For == 0 && len(by) > 0 && spec.Mirror == nil:
		r.problem(long, path+".for", fmt.Sprintf("nothing judges it, although the objective %s is for %s", by[0].Name, c.spec.Name),
			"take for out, or say that this is meant: judged: false")
	case !written && len(by) > 0:
		spec.For = towpath.DefaultFor
	}
}
