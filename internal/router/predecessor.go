package router

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// follow is what a router tells the one that it replaced, which may get requests
// on connections that it accepted before: where they go now.
type follow struct {
	Routes []route.Route `json:"routes,omitempty"`
	Obey   bool          `json:"obey,omitempty"` // Routes is what there is; else it only asks
	End    bool          `json:"end,omitempty"`  // stop, as when it is told to by a signal
}

// followed is the answer.
type followed struct {
	UnderWay []flights      `json:"underWay"`
	Counted  route.Snapshot `json:"counted"` // since it was replaced
	Done     bool           `json:"done"`    // it ends
}

// flights are the requests under way in a route.
type flights struct {
	Route    string                       `json:"route"`
	InFlight map[towpath.RevisionID]int64 `json:"inFlight"`
	Busy     map[string]int64             `json:"busy"`
}

// predecessor is the router that this one replaced, while it finishes what it
// has begun.
type predecessor struct {
	conn     *net.UnixConn
	in       *json.Decoder
	out      *json.Encoder
	bequest  route.Snapshot // what it had counted
	counted  route.Snapshot // what it has counted since, as far as this one knows
	underWay []flights
}

func (p *predecessor) ask(f follow, by time.Time) (a followed, err error) {
	if err = p.conn.SetDeadline(by); err == nil {
		if err = p.out.Encode(f); err == nil {
			err = p.in.Decode(&a)
		}
	}
	return a, err
}

// askPredecessor tells the router before what has changed, and learns what it
// does. One that does not answer is gone, with all that was under way there.
func (s *server) askPredecessor(f follow) {
	p := s.before
	if p == nil {
		return
	}
	a, err := p.ask(f, s.now().Add(handoverTimeout))
	if err == nil {
		s.counter.absorb(a.Counted, p.counted)
		p.counted, p.underWay = a.Counted, a.UnderWay
	}
	if err != nil || a.Done {
		s.log.Info("the router before is gone", "finished", err == nil)
		_ = p.conn.Close()
		s.before = nil
	}
}

// tellPredecessor makes the router before do as this one does, before a change is
// called done.
func (s *server) tellPredecessor() {
	if s.before == nil {
		return
	}
	f := follow{Obey: true}
	for _, l := range s.routes {
		f.Routes = append(f.Routes, l.status().Route)
	}
	s.askPredecessor(f)
}

// predecessorPoll is how often the router before is asked, so that its last
// counts are known when it ends.
const predecessorPoll = 200 * time.Millisecond

func (s *server) watchPredecessor(ctx context.Context) {
	tick := time.NewTicker(predecessorPoll)
	defer tick.Stop()
	for s.askInTurn() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *server) askInTurn() (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isReplaced() {
		return false // who replaced this one asks
	}
	s.askPredecessor(follow{})
	return s.before != nil
}

// lingerMax is how long a router that was replaced may go on with what it has
// begun, streams included.
const lingerMax = time.Hour

// lingerPoll is how often it looks whether that is done.
const lingerPoll = 50 * time.Millisecond

// obeyNext does what the router that replaced this one says, until it says
// nothing more.
func (s *server) obeyNext(n *next) {
	defer close(s.alone)
	defer func() { _ = n.conn.Close() }()
	for {
		var f follow
		if n.in.Decode(&f) != nil {
			return
		}
		a := s.obey(f, n.counted)
		if f.End {
			close(s.end)
		}
		if n.out.Encode(a) != nil || a.Done || f.End {
			return
		}
	}
}

func (s *server) obey(f follow, counted route.Snapshot) followed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Obey {
		s.become(f.Routes)
	}
	s.askPredecessor(f)  // there may be one that has not finished either
	done := s.deserted() // before the counters are read: what ends later is counted later
	st := s.statusLocked()
	a := followed{Counted: subtract(s.counted(0, st), counted), Done: done}
	for _, r := range st.Routes {
		a.UnderWay = append(a.UnderWay, flights{Route: r.Name, InFlight: r.InFlight, Busy: r.Busy})
	}
	return a
}

// become sends what comes on old connections where it is to go now.
func (s *server) become(routes []route.Route) {
	for name, l := range s.routes {
		i := slices.IndexFunc(routes, func(r route.Route) bool { return r.Name == name })
		if i < 0 {
			delete(s.routes, name)
			l.leave()
			s.leaving = append(s.leaving, l)
			continue
		}
		l.become(routes[i])
	}
}

// deserted reports whether there is nobody left to answer.
func (s *server) deserted() bool {
	if s.before != nil || s.connections.Load() > 0 {
		return false
	}
	for _, l := range s.routes {
		if !l.idle() {
			return false
		}
	}
	return !slices.ContainsFunc(s.leaving, func(l *live) bool { return !l.idle() })
}

// linger returns when everything that this router had begun is done and the one
// that replaced it knows, or after a while.
func (s *server) linger(ctx context.Context) {
	limit := time.NewTimer(lingerMax)
	defer limit.Stop()
	tick := time.NewTicker(lingerPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.end:
			return
		case <-limit.C:
			return
		case <-tick.C:
		}
		select {
		case <-s.alone:
			s.mu.Lock()
			s.askPredecessor(follow{})
			done := s.deserted()
			s.mu.Unlock()
			if done {
				return
			}
		default:
		}
	}
}
