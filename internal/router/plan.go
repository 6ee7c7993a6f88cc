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
	turn   int       // round robin over the instances
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
func newPlan(name string, t route.Traffic, c *counter, before *plan) *plan {
	list := t.Backends()
	p := &plan{traffic: t, backends: make([]*upstream, len(list))}
	for i, s := range c.enter(name, list) {
		p.backends[i] = &upstream{Backend: list[i], series: s, token: token(list[i].Revision)}
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
