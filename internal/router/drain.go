package router

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// drainPoll is how often the router before is asked.
const drainPoll = 50 * time.Millisecond

// drain waits until no request is under way to a revision, or its time is over,
// and says how many are left. A revision that may get new ones can't be drained.
func (s *server) drain(ctx context.Context, d route.Drain) (route.Drained, error) {
	end := time.NewTimer(d.Wait)
	defer end.Stop()
	for {
		if err := s.drainable(d); err != nil {
			return route.Drained{}, err
		}
		n, again, poll := s.left(d)
		if n == 0 {
			return route.Drained{}, nil
		}
		select {
		case <-again:
		case <-poll:
		case <-end.C:
			return route.Drained{Left: n}, nil
		case <-s.gone:
			return route.Drained{}, errReplaced
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
// that was removed, and in the router before. Either channel says that it is
// worth asking again.
func (s *server) left(d route.Drain) (n int64, again <-chan struct{}, poll <-chan time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range append(slices.Clone(s.leaving), s.routes[d.Route]) {
		if n == 0 && l != nil && l.status().Name == d.Route {
			n, again = l.left(d.Revision)
		}
	}
	st := s.statusLocked()
	n = 0
	for _, r := range st.Routes {
		if r.Name == d.Route {
			n += r.InFlight[d.Revision]
		}
	}
	if s.before != nil {
		poll = time.After(drainPoll)
	}
	return n, again, poll
}

// snapshot reads all counters.
func (s *server) snapshot(by readers) route.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshotLocked(by)
}

func (s *server) snapshotLocked(by readers) route.Snapshot { return s.counted(by, s.statusLocked()) }

// counted is the counters with what is under way by a status.
func (s *server) counted(by readers, st route.Status) route.Snapshot {
	under := map[flight]int64{}
	for _, r := range st.Routes {
		for rev, n := range r.InFlight {
			under[flight{r.Name, rev}] += n
		}
	}
	return s.counter.snapshot(by, s.now(), under)
}
