package router

import (
	"maps"
	"net"
	"net/http"
	"sync"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// live is a route at work.
type live struct {
	mu       sync.Mutex
	route    route.Route
	next     int // round robin over the instances
	inFlight map[towpath.RevisionID]int64
	servers  map[string]*http.Server // by Listen
	closed   map[string]string       // why a listener is not open, by Listen
	removed  bool
}

func newLive(r route.Route) *live {
	return &live{route: r, inFlight: map[towpath.RevisionID]int64{}, servers: map[string]*http.Server{}, closed: map[string]string{}}
}

// begin counts a request in and gives the instances to try, the first one's
// turn first. Choosing and counting are one step: once a switch has returned
// and a former revision's count is zero, nothing will be sent to it any more.
func (l *live) begin() (t route.Traffic, end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t = l.route.Traffic
	if n := len(t.Instances); n > 0 {
		l.next = (l.next + 1) % n
		turn := make([]route.Instance, 0, n)
		turn = append(turn, t.Instances[l.next:]...)
		t.Instances = append(turn, t.Instances[:l.next]...)
	}
	l.inFlight[t.Revision]++
	return t, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.inFlight[t.Revision]--; l.inFlight[t.Revision] == 0 {
			delete(l.inFlight, t.Revision)
		}
	}
}

// become sends requests that begin from now on by r.
func (l *live) become(r route.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.route = r
}

func (l *live) status() route.RouteStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return route.RouteStatus{Route: l.route, InFlight: maps.Clone(l.inFlight), Removed: l.removed, Closed: maps.Clone(l.closed)}
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
	return len(l.inFlight) == 0
}

// forget drops why a listener is not open: it is now, or is not wanted any more.
func (l *live) forget(listen string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.closed, listen)
}

// serve answers on a listener with the handler until the server is closed.
func (l *live) serve(listen string, ln net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader}
	l.servers[listen] = srv
	l.forget(listen)
	go func() { _ = srv.Serve(ln) }() // ends with the listener
}
