package projectfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// port is a port of a place, and taken who wants it at which of its hosts.
type port struct {
	place  towpath.PlaceName
	number string
}

type taken struct{ host, by string }

// checkKinds lets the build half of each component's kind check its section
// and the settings of every environment, and writes the settings into the
// environments.
func (r *reader) checkKinds(components []component, environments []environment, builders []kind.Builder) {
	ports := map[port][]taken{}
	for _, c := range components {
		i := slices.IndexFunc(builders, func(b kind.Builder) bool { return b.Kind() == c.spec.Kind })
		if i < 0 {
			continue // reported already
		}
		b := builders[i]
		known := b.Check(c.spec.Spec, nil)
		for _, p := range known {
			r.inSection(c, p)
		}
		r.checkDependencies(c, components, entry{}, b, nil)
		r.checkWaits(c, entry{}, b, nil)
		for _, e := range environments {
			s, settings := settingsOf(e, c.spec.Name)
			if settings != nil {
				for _, p := range b.Check(c.spec.Spec, settings) {
					if !slices.Contains(known, p) {
						r.inSettings(c, s, p)
					}
				}
				r.checkDependencies(c, components, s, b, settings)
				r.checkWaits(c, s, b, settings)
			}
			if l, ok := b.(Listener); ok {
				addresses := l.Addresses(c.spec.Spec, settings)
				for _, path := range slices.Sorted(maps.Keys(addresses)) {
					r.take(ports, c, e, s, path, addresses[path])
				}
			}
		}
	}
	for i := range environments {
		e := &environments[i]
		for _, s := range e.settings {
			if e.spec.Components == nil {
				e.spec.Components = map[towpath.ComponentName]json.RawMessage{}
			}
			e.spec.Components[towpath.ComponentName(s.key)] = s.n.json()
		}
	}
}

func settingsOf(e environment, name towpath.ComponentName) (entry, json.RawMessage) {
	for _, s := range e.settings {
		if s.key == string(name) {
			return s, s.n.json()
		}
	}
	return entry{}, nil
}

// inSection reports a kind's problem where it stands in the component.
func (r *reader) inSection(c component, p kind.Problem) {
	at := c.at
	if c.section != nil {
		if found, steps := c.section.find(p.Path); steps > 0 {
			at = found
		} else {
			at = c.section
		}
	}
	r.problem(at, join(c.path+"."+string(c.spec.Kind), p.Path), p.Message, p.Hint)
}

// inSettings reports a kind's problem with settings where it stands in them.
func (r *reader) inSettings(c component, s entry, p kind.Problem) {
	if s.n == nil {
		r.inSection(c, p)
		return
	}
	at := s.at
	if found, steps := s.n.find(p.Path); steps > 0 {
		at = found
	}
	r.problem(at, join(s.path, p.Path), p.Message, p.Hint)
}

func join(prefix, path string) string {
	if path == "" {
		return prefix
	}
	return prefix + "." + path
}

// checkDependencies reports placeholders for outputs of components that do not
// exist or that the component does not come after: those of the section, or
// with settings those that stand in the settings.
func (r *reader) checkDependencies(c component, components []component, s entry, b kind.Builder, settings json.RawMessage) {
	f, ok := b.(Referrer)
	if !ok {
		return
	}
	report := func(path, message, hint string) {
		p := kind.Problem{Path: path, Message: message, Hint: hint}
		if s.n == nil || s.n.has(path) {
			r.inSettings(c, s, p)
		}
	}
	references := f.References(c.spec.Spec, settings)
	for _, path := range slices.Sorted(maps.Keys(references)) {
		name := references[path]
		switch exists := slices.ContainsFunc(components, func(x component) bool { return x.spec.Name == name }); {
		case name == c.spec.Name:
			report(path, "the component takes an output of itself", "its own port is in the variable PORT")
		case !exists:
			report(path, fmt.Sprintf("there is no component %q", name), "name a component of this project")
		case !slices.Contains(c.spec.DependsOn, name):
			report(path, fmt.Sprintf("it takes an output of %s and does not depend on it", name), fmt.Sprintf("add %s to dependsOn of %s", name, c.spec.Name))
		}
	}
}

// checkWaits reports that stopping what is replaced would take longer than a step
// has time for: those of the section, or with settings those that stand in them.
// Only a rolling update both drains and stops within the steps that bring the new
// revision; there the two have to fit together.
func (r *reader) checkWaits(c component, s entry, b kind.Builder, settings json.RawMessage) {
	f, ok := b.(Waiter)
	if !ok {
		return
	}
	timeout := c.spec.Rollout.Timeout
	drain, grace := f.Waits(c.spec.Spec, settings)
	says := func(path string) bool { return s.n == nil || s.n.has(path) }
	report := func(path, message string) {
		r.inSettings(c, s, kind.Problem{Path: path, Message: message, Hint: "shorten it, or give a step more time with rollout.timeout"})
	}
	if grace >= timeout {
		if says("stopGrace") {
			report("stopGrace", fmt.Sprintf("%s is not less than the time for a step, %s", grace, timeout))
		}
		grace = 0
	}
	together := fmt.Sprintf("a drain of %s is more than half of what a stopGrace of %s leaves of the time for a step, %s, and a rolling update has both in one", drain, grace, timeout)
	switch {
	case drain > timeout/2:
		if says("drain") {
			report("drain", fmt.Sprintf("%s is more than half of the time for a step, %s", drain, timeout))
		}
	case c.spec.Rollout.Strategy != towpath.StrategyRolling || drain <= (timeout-grace)/2:
	case says("drain"):
		report("drain", together)
	case says("stopGrace"):
		report("stopGrace", together)
	}
}

// take reports an address that another component in the same place has.
func (r *reader) take(ports map[port][]taken, c component, e environment, s entry, path, address string) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return
	}
	key := port{place: e.spec.Place, number: number}
	by := fmt.Sprintf("%s in %s", c.spec.Name, e.spec.Name)
	for _, t := range ports[key] {
		if t.host == host || everywhere(t.host) || everywhere(host) {
			r.inSettings(c, s, kind.Problem{Path: path,
				Message: fmt.Sprintf("%s wants the address %s, which %s takes in the place %s", by, address, t.by, e.spec.Place),
				Hint:    "give each an address of its own in its environment's settings, or port 0"})
			return
		}
	}
	ports[key] = append(ports[key], taken{host: host, by: by})
}

func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}
