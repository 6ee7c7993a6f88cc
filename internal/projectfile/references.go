package projectfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

// checkReferences reports names that stand for nothing, circles, and branches
// that two environments share.
func (r *reader) checkReferences(components []component, environments []environment, objectives []towpath.Objective, o object) {
	var names []towpath.ComponentName
	for _, c := range components {
		names = append(names, c.spec.Name)
	}
	for _, c := range components {
		for _, d := range c.depends {
			if !slices.Contains(names, towpath.ComponentName(d.n.text)) {
				r.problem(d.n, d.path, fmt.Sprintf("there is no component %q", d.n.text), didyoumean.Hint(d.n.text, names))
			}
		}
	}
	edges := dependencies(components)
	for _, c := range components {
		r.circle("component", c.at, c.path+".dependsOn", string(c.spec.Name), edges)
	}
	edges = sources(environments)
	var known []towpath.EnvironmentName
	branches := map[string]towpath.EnvironmentName{}
	for _, e := range environments {
		known = append(known, e.spec.Name)
	}
	for _, e := range environments {
		if e.from != nil && !slices.Contains(known, e.spec.From) {
			r.problem(e.from, e.path+".from", fmt.Sprintf("there is no environment %q", e.spec.From), didyoumean.Hint(string(e.spec.From), known))
		}
		r.circle("environment", e.at, e.path+".from", string(e.spec.Name), edges)
		if other, taken := branches[e.spec.Branch]; taken && e.spec.Branch != "" {
			r.problem(e.branch, e.path+".branch", fmt.Sprintf("the branch %s is already that of %s", e.spec.Branch, other), "give each environment a branch of its own, or none")
		} else {
			branches[e.spec.Branch] = e.spec.Name
		}
		for _, s := range e.settings {
			if !slices.Contains(names, towpath.ComponentName(s.key)) {
				r.problem(s.at, s.path, fmt.Sprintf("there is no component %q", s.key), didyoumean.Hint(s.key, names))
			}
		}
	}
	r.checkMirrors(components, objectives, o)
	r.checkJudged(components, objectives, o)
	for i, x := range objectives {
		if x.Component != "" && !slices.Contains(names, x.Component) {
			path := fmt.Sprintf("objectives[%d].component", i)
			at, _ := o.n.find(path)
			r.problem(at, path, fmt.Sprintf("there is no component %q", x.Component), didyoumean.Hint(string(x.Component), names))
		}
	}
}

func dependencies(components []component) map[string][]string {
	out := map[string][]string{}
	for _, c := range components {
		for _, d := range c.spec.DependsOn {
			out[string(c.spec.Name)] = append(out[string(c.spec.Name)], string(d))
		}
	}
	return out
}

func sources(environments []environment) map[string][]string {
	out := map[string][]string{}
	for _, e := range environments {
		if e.spec.From != "" {
			out[string(e.spec.Name)] = []string{string(e.spec.From)}
		}
	}
	return out
}

// circle reports a circle through name, at the one of its members that comes
// first in the alphabet, so that each circle is reported once.
func (r *reader) circle(noun string, at *node, path, name string, edges map[string][]string) {
	trail := back(name, edges)
	if trail == nil || slices.Min(trail) != name {
		return
	}
	if len(trail) == 1 {
		r.problem(at, path, fmt.Sprintf("the %s %s comes after itself", noun, name), "take it out")
		return
	}
	if len(trail) > 10 {
		trail = append(trail[:10:10], "…")
	}
	r.problem(at, path, fmt.Sprintf("the %ss stand in a circle: %s → %s", noun, strings.Join(trail, " → "), name), "take one of these out")
}

// back is the shortest way from name to itself, without the end; nil when
// there is none.
func back(name string, edges map[string][]string) []string {
	before := map[string]string{} // on the way to a name
	queue := []string{name}
	for len(queue) > 0 {
		here := queue[0]
		queue = queue[1:]
		for _, next := range edges[here] {
			if next == name {
				return wayTo(here, name, before)
			}
			if _, seen := before[next]; !seen {
				before[next] = here
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func wayTo(end, start string, before map[string]string) []string {
	trail := []string{end}
	for end != start {
		end = before[end]
		trail = append(trail, end)
	}
	slices.Reverse(trail)
	return trail
}

// upstreamOrder puts every environment after its `from`, and otherwise keeps
// the order of the file.
func upstreamOrder(environments []environment) []towpath.EnvironmentSpec {
	var out []towpath.EnvironmentSpec
	placed := map[towpath.EnvironmentName]bool{"": true}
	for len(out) < len(environments) {
		i := slices.IndexFunc(environments, func(e environment) bool {
			return !placed[e.spec.Name] && placed[e.spec.From]
		})
		if i < 0 {
			return out // a circle or an unknown name, reported already
		}
		placed[environments[i].spec.Name] = true
		out = append(out, environments[i].spec)
	}
	return out
}
