package router

import (
	"context"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// server is a router at work.
type server struct {
	*shared
	dir     string
	counter *counter

	mu         sync.Mutex // one change at a time
	generation int64
	routes     map[string]*live
	leaving    []*live // removed, with requests under way

	estate *estate
	before *predecessor  // that has not finished yet
	gone   chan struct{} // closed when another router has the estate
	alone  chan struct{} // closed when that one has nothing more to say
	end    chan struct{} // closed when that one says to stop
}

// newServer loads a folder's configuration and opens its listeners, those that
// were handed on as they are. What can't be opened is left to
// [server.openRest]; the other routes work meanwhile.
func newServer(dir string, s *shared, e *estate) (*server, error) {
	c, err := loadConfig(dir)
	if err != nil {
		return nil, err
	}
	srv := &server{
		shared: s, dir: dir, counter: newCounter(), generation: c.Generation, routes: map[string]*live{},
		estate: e, gone: make(chan struct{}), alone: make(chan struct{}), end: make(chan struct{}),
	}
	for _, r := range c.Routes {
		srv.routes[r.Name] = newLive(r, srv.counter)
	}
	if e.from != nil {
		srv.counter.absorb(e.from.bequest, route.Snapshot{})
	}
	srv.openClosed()
	closeAll(e.listeners) // that no route wants
	e.listeners = nil
	return srv, nil
}

// Apply makes a change: listeners open, the configuration is on disk, and then
// requests follow it. When it fails nothing has changed.
func (s *server) Apply(c route.Change) (route.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isReplaced() {
		return route.Status{}, errReplaced
	}
	l, known := s.routes[c.Route]
	if !known {
		if c.Remove {
			return s.statusLocked(), nil
		}
		l = newLive(route.Route{Name: c.Route}, s.counter)
	}
	was := l.status().Route
	if c.Fence < was.Fence {
		return route.Status{}, towpath.E(towpath.KindLocked, "router.apply",
			"a later operation (fence %d) changed the route; fence %d is refused", was.Fence, c.Fence).On(c.Route)
	}
	next := was
	next.Fence, next.Operation = c.Fence, c.Operation
	next.Listeners = wanted(was.Listeners, c)
	if c.Traffic != nil {
		if err := check(c.Traffic); err != nil {
			return route.Status{}, err
		}
		next.Traffic = *c.Traffic
	}
	if c.Out != nil {
		next.Out = *c.Out
	}
	next.Out = having(next.Traffic, next.Out)
	opened, err := s.open(l, next.Listeners, c.Listen)
	if err != nil {
		return route.Status{}, err
	}
	if err := s.save(next, c.Remove); err != nil {
		closeAll(opened)
		return route.Status{}, err
	}
	for listen, ln := range opened {
		l.serve(listen, ln, s.shared)
	}
	if c.Remove {
		next.Listeners = nil
		delete(s.routes, c.Route)
		l.leave()
		s.leaving = append(s.leaving, l)
	} else {
		l.become(next)
		s.routes[c.Route] = l
	}
	s.tellPredecessor()
	s.closeOthers(l, next.Listeners)
	return s.statusLocked(), nil
}

// wanted is the listeners after a change.
func wanted(have []route.Listener, c route.Change) []route.Listener {
	var out []route.Listener
	for _, l := range have {
		if !c.Prune || slices.Contains(c.Listen, l.Listen) {
			out = append(out, l)
		}
	}
	for _, listen := range c.Listen {
		if !slices.ContainsFunc(out, func(l route.Listener) bool { return l.Listen == listen }) {
			out = append(out, route.Listener{Listen: listen, Address: listen})
		}
	}
	return out
}

// having are those of the instances that have a part in the traffic.
func having(t route.Traffic, instances []string) []string {
	var out []string
	for _, b := range t.Backends() {
		for _, in := range b.Instances {
			if slices.Contains(instances, in.ID) {
				out = append(out, in.ID)
			}
		}
	}
	return out
}

// save writes the configuration with one route replaced or left out.
func (s *server) save(changed route.Route, remove bool) error {
	c := config{Generation: s.generation + 1}
	for _, name := range slices.Sorted(maps.Keys(s.routes)) {
		if name != changed.Name {
			c.Routes = append(c.Routes, s.routes[name].status().Route)
		}
	}
	if !remove {
		c.Routes = append(c.Routes, changed)
	}
	if err := c.save(s.dir); err != nil {
		return err
	}
	s.generation = c.Generation
	return nil
}

// closeOthers closes the servers of listeners that are not in list: nobody gets in
// any more when it returns. Requests under way finish.
func (s *server) closeOthers(l *live, list []route.Listener) {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for listen := range l.status().Closed {
		if !slices.ContainsFunc(list, func(x route.Listener) bool { return x.Listen == listen }) {
			l.forget(listen)
		}
	}
	for listen, srv := range l.servers {
		if !slices.ContainsFunc(list, func(x route.Listener) bool { return x.Listen == listen }) {
			delete(l.servers, listen)
			_ = srv.http.Shutdown(now)                                  // closes the address, and waits for nothing
			go func() { _ = srv.http.Shutdown(context.Background()) }() // ends with the last request
		}
	}
}

// Status says what the router does.
func (s *server) Status() route.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statusLocked()
}

func (s *server) statusLocked() route.Status {
	s.askPredecessor(follow{})
	st := route.Status{PID: os.Getpid(), Build: s.build, Generation: s.generation, Routes: []route.RouteStatus{}}
	for _, name := range slices.Sorted(maps.Keys(s.routes)) {
		st.Routes = append(st.Routes, s.routes[name].status())
	}
	s.leaving = slices.DeleteFunc(s.leaving, (*live).idle)
	for _, l := range s.leaving {
		st.Routes = append(st.Routes, l.status())
	}
	if s.before != nil {
		addFlights(&st, s.before.underWay)
	}
	return st
}

// addFlights counts what is under way in the router before.
func addFlights(st *route.Status, list []flights) {
	for _, f := range list {
		i := slices.IndexFunc(st.Routes, func(r route.RouteStatus) bool { return r.Name == f.Route })
		if i < 0 && len(f.InFlight) > 0 {
			i = len(st.Routes)
			st.Routes = append(st.Routes, route.RouteStatus{Route: route.Route{Name: f.Route}, InFlight: map[towpath.RevisionID]int64{}, Busy: map[string]int64{}, Removed: true})
		}
		for rev, n := range f.InFlight {
			st.Routes[i].InFlight[rev] += n
		}
		for id, n := range f.Busy {
			st.Routes[i].Busy[id] += n
		}
	}
}

// close lets the requests under way finish for a while and closes everything.
func (s *server) close(grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var wg sync.WaitGroup
	s.askPredecessor(follow{End: true})
	for _, l := range s.routes {
		for _, srv := range l.servers {
			wg.Go(func() {
				if srv.http.Shutdown(ctx) != nil {
					_ = srv.http.Close()
				}
			})
		}
	}
	wg.Wait()
}

func closeAll[K comparable](m map[K]net.Listener) {
	for _, ln := range m {
		_ = ln.Close()
	}
}
