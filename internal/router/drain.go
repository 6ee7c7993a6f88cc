package router

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// drain waits until no request is under way to a revision, or its time is over,
// and says how many are left. A revision that may get new ones can't be drained.
func (s *server) drain(ctx context.Context, d route.Drain) (route.Drained, error) {
	end := time.NewTimer(d.Wait)
	defer end.Stop()
	for {
		if err := s.drainable(d); err != nil {
			return route.Drained{}, err
		}
		n, again := s.left(d)
		if n == 0 {
			return route.Drained{}, nil
		}
		select {
		case <-again:
		case <-end.C:
			return route.Drained{Left: n}, nil
		case <-ctx.Done():
			return route.Drained{Left: n}, nil // who asked is gone
		}
	}
}

// drainable refuses a revision that requests may still be sent to.
func (s *server) drainable(d route.Drain) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.routes[d.Route]
	if !ok {
		return nil
	}
	p := l.plan.Load()
	b := p.find(d.Revision)
	if b == nil || len(b.Instances) == 0 {
		return nil
	}
	matched := false
	for _, m := range p.matches {
		matched = matched || m.to == b
	}
	if b.Weight == 0 && !matched {
		return nil
	}
	return towpath.E(towpath.KindConflict, "router.drain", "the revision still gets requests of %s", d.Route).On(string(d.Revision)).
		WithHint("take its weight and its matches away first")
}

// left counts what is under way to a revision, also in a route of that name
// that was removed; the channel is closed when it is worth asking again.
func (s *server) left(d route.Drain) (n int64, again <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.routes[d.Route]; ok {
		n, again = l.left(d.Revision)
	}
	for _, l := range s.leaving {
		if n > 0 {
			break
		}
		if l.status().Name == d.Route {
			n, again = l.left(d.Revision)
		}
	}
	return n, again
}

// snapshot reads all counters.
func (s *server) snapshot(by readers) route.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	under := map[flight]int64{}
	for _, r := range s.statusLocked().Routes {
		for rev, n := range r.InFlight {
			under[flight{r.Name, rev}] += n
		}
	}
	return s.counter.snapshot(by, s.now(), under)
}
