package router

import (
	"math"
	"slices"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// upstream is a revision in a route at work.
type upstream struct {
	route.Backend
	series *series
	token  string    // its cookie's value
	in     int       // how many of the instances get new requests: the first ones
	turn   int       // round robin over those
	credit int64     // of the smooth weighted choice
	flying *flying   // its requests under way
	seats  []*flying // those of each instance
}

// plan is where the requests of a route go. Its backends' turns and credits
// change under the route's lock; all else is never changed.
type plan struct {
	traffic  route.Traffic
	backends []*upstream
	matches  []*matcher
	mirror   *mirror // nil: nothing is copied
}

// newPlan makes the plan of a route. The credits of the plan before go on if the
// weights are the same, so that changing instances often starves nobody.
func newPlan(r route.Route, c *counter, before *plan) *plan {
	list := r.Traffic.Backends()
	p := &plan{traffic: r.Traffic, backends: make([]*upstream, len(list))}
	for i, s := range c.enter(r.Name, list) {
		p.backends[i] = newUpstream(list[i], s, r.Out)
	}
	p.matches, p.mirror = p.matchers(), newMirror(p)
	if before != nil && slices.EqualFunc(before.backends, p.backends, func(a, b *upstream) bool {
		return a.Revision == b.Revision && a.Weight == b.Weight
	}) {
		for i, b := range before.backends {
			p.backends[i].credit, p.backends[i].turn = b.credit, b.turn
		}
	}
	return p
}

// newUpstream puts the instances that are out behind those that are in. When all
// are out all are in: then it is the revision that fails, and not its spread.
func newUpstream(b route.Backend, s *series, out []string) *upstream {
	u := &upstream{Backend: b, series: s, token: token(b.Revision)}
	isOut := func(in route.Instance) bool { return slices.Contains(out, in.ID) }
	u.Instances = slices.DeleteFunc(slices.Clone(b.Instances), isOut)
	if u.in = len(u.Instances); u.in == 0 {
		u.Instances, u.in = b.Instances, len(b.Instances)
		return u
	}
	for _, in := range b.Instances {
		if isOut(in) {
			u.Instances = append(u.Instances, in)
		}
	}
	return u
}

// attempt is the instance that a request tries after i others: those that are in,
// from its first one on, and then those that are out.
func (b *upstream) attempt(first, i int) int {
	if i < b.in {
		return (first + i) % b.in
	}
	return i
}

// has reports whether requests may be sent to an instance.
func (p *plan) has(instance string) bool {
	return slices.ContainsFunc(p.backends, func(b *upstream) bool {
		return slices.ContainsFunc(b.Instances, func(in route.Instance) bool { return in.ID == instance })
	})
}

// open reports whether a revision can be sent what goes by weight.
func (b *upstream) open() bool { return b.Weight > 0 && len(b.Instances) > 0 }

// next is the smooth weighted choice: of any window of as many requests as the
// weights add up to, each revision gets exactly its weight, spread evenly. It is
// nil when no revision is open.
func (p *plan) next() *upstream {
	var best *upstream
	var sum int64
	credit := int64(math.MinInt64)
	for _, b := range p.backends {
		if !b.open() {
			continue
		}
		b.credit += int64(b.Weight)
		sum += int64(b.Weight)
		if b.credit > credit {
			best, credit = b, b.credit
		}
	}
	if best != nil {
		best.credit -= sum
	}
	return best
}

// find is the upstream of a revision, nil when it is not in the route.
func (p *plan) find(rev towpath.RevisionID) *upstream {
	i := slices.IndexFunc(p.backends, func(b *upstream) bool { return b.Revision == rev })
	if i < 0 {
		return nil
	}
	return p.backends[i]
}
