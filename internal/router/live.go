package router

import (
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// live is a route at work.
type live struct {
	counter *counter
	plan    atomic.Pointer[plan]
	stuck   stuck // clients that stay with their revision, by header

	mu       sync.Mutex
	route    route.Route
	inFlight map[towpath.RevisionID]*flying
	seats    map[string]*flying      // by instance
	waiting  chan struct{}           // closed when a revision's last request ends; nil while nobody waits
	servers  map[string]*frontServer // by Listen
	closed   map[string]string       // why a listener is not open, by Listen
	removed  bool
}

// flying is the requests under way to a revision, or to an instance, under the
// lock of its route.
type flying struct{ n int64 }

func newLive(r route.Route, c *counter) *live {
	l := &live{
		counter: c, route: r, inFlight: map[towpath.RevisionID]*flying{}, seats: map[string]*flying{},
		servers: map[string]*frontServer{}, closed: map[string]string{},
	}
	l.become(r)
	return l
}

// begin chooses a request's revision and counts it in; nil when there is none.
// Choosing and counting are one step: once a switch has returned and a former
// revision's count is zero, nothing will be sent to it any more.
func (l *live) begin(r *http.Request) (c chosen, ok bool) {
	for {
		p := l.plan.Load()
		c = p.wanted(r, &l.stuck) // reads the request, which takes too long for the lock
		l.mu.Lock()
		if p != l.plan.Load() {
			l.mu.Unlock()
			continue
		}
		if c.to == nil {
			if c.to = p.next(); c.to == nil {
				l.mu.Unlock()
				return c, false
			}
		}
		c.plan = p
		c.to.flying.n++
		if c.to.in > 0 {
			c.to.turn = (c.to.turn + 1) % c.to.in
			c.first = c.to.turn
			c.seat = c.to.seats[c.first]
			c.seat.n++
		}
		l.mu.Unlock()
		return c, true
	}
}

// move counts a request to the next instance that it tries. Its plan may be a
// former one, whose instance nobody counted any more.
func (l *live) move(c *chosen, instance int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.seat.n--
	c.seat = l.seatsOf(c.to.Instances[instance : instance+1])[0]
	c.seat.n++
}

// end counts a request out.
func (l *live) end(c chosen) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := c.to
	if c.seat != nil {
		c.seat.n--
	}
	if b.flying.n--; b.flying.n > 0 {
		return
	}
	if l.waiting != nil {
		close(l.waiting)
		l.waiting = nil
	}
	if l.inFlight[b.Revision] == b.flying && l.plan.Load().find(b.Revision) == nil {
		delete(l.inFlight, b.Revision)
	}
}

// become sends requests that begin from now on by r.
func (l *live) become(r route.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := newPlan(r, l.counter, l.plan.Load())
	for _, b := range p.backends {
		if b.flying = l.inFlight[b.Revision]; b.flying == nil {
			b.flying = &flying{}
			l.inFlight[b.Revision] = b.flying
		}
		b.seats = l.seatsOf(b.Instances)
	}
	maps.DeleteFunc(l.inFlight, func(rev towpath.RevisionID, f *flying) bool { return f.n == 0 && p.find(rev) == nil })
	maps.DeleteFunc(l.seats, func(id string, f *flying) bool { return f.n == 0 && !p.has(id) })
	l.route = r
	l.plan.Store(p)
}

// seatsOf are the requests under way to each of a revision's instances.
func (l *live) seatsOf(instances []route.Instance) []*flying {
	out := make([]*flying, len(instances))
	for i, in := range instances {
		if l.seats[in.ID] == nil {
			l.seats[in.ID] = &flying{}
		}
		out[i] = l.seats[in.ID]
	}
	return out
}

// leave ends a route: it keeps nothing but the requests under way.
func (l *live) leave() {
	l.become(route.Route{Name: l.status().Name})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = true
}

func (l *live) status() route.RouteStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	under := map[towpath.RevisionID]int64{}
	for rev, f := range l.inFlight {
		if f.n > 0 {
			under[rev] = f.n
		}
	}
	busy := map[string]int64{}
	for id, f := range l.seats {
		if f.n > 0 {
			busy[id] = f.n
		}
	}
	return route.RouteStatus{Route: l.route, InFlight: under, Busy: busy, Removed: l.removed, Closed: maps.Clone(l.closed)}
}

// left counts the requests under way to a revision; the channel is closed when
// it is worth asking again.
func (l *live) left(rev towpath.RevisionID) (n int64, again <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.inFlight[rev]; f != nil {
		n = f.n
	}
	if l.waiting == nil {
		l.waiting = make(chan struct{})
	}
	return n, l.waiting
}

// stays records why a listener is not open, and reports whether that is new.
func (l *live) stays(listen, why string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.closed[listen]
	l.closed[listen] = why
	return was != why
}

func (l *live) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.inFlight {
		if f.n > 0 {
			return false
		}
	}
	return true
}

// forget drops why a listener is not open: it is now, or is not wanted any more.
func (l *live) forget(listen string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.closed, listen)
}

// serve answers on a listener until the server is closed.
func (l *live) serve(listen string, ln net.Listener, s *shared) {
	srv := newFrontServer(ln, newProxy(l, s), s)
	l.servers[listen] = srv
	l.forget(listen)
	srv.start()
}
