package router

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// open opens the listeners that a change needs and that are not open yet, and
// puts their real addresses into list. One that the route had before belongs to
// it: that somebody else has its address now is no fault of the change.
func (s *server) open(l *live, list []route.Listener, needed []string) (map[string]net.Listener, error) {
	had := l.status().Listeners
	opened := map[string]net.Listener{}
	for i := range list {
		if _, open := l.servers[list[i].Listen]; open || !slices.Contains(needed, list[i].Listen) {
			continue
		}
		ln, err := net.Listen("tcp", list[i].Address)
		if err != nil {
			closeAll(opened)
			e := towpath.E(towpath.KindConflict, "router.listen", "%s", whyClosed(list[i].Address, err)).On(l.status().Name).WithCause(err).
				WithHint("stop the program that uses it, or give the component another address in its settings")
			if slices.ContainsFunc(had, func(x route.Listener) bool { return x.Listen == list[i].Listen }) {
				e.Kind = towpath.KindUnavailable
			}
			return nil, e
		}
		list[i].Address = ln.Addr().String()
		opened[list[i].Listen] = ln
	}
	return opened, nil
}

// whyClosed says why an address can't be listened on.
func whyClosed(address string, err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return "the address " + address + " is taken by somebody else"
	}
	return "the address " + address + " can't be listened on"
}

// Bounds of the pause between two tries to open what is closed; it doubles.
const (
	openPause = 100 * time.Millisecond
	openMax   = 5 * time.Second
)

// openRest tries to open what could not be opened at the start until all is, or
// ctx ends.
func (s *server) openRest(ctx context.Context) {
	for pause := openPause; s.openClosed() > 0; pause = min(2*pause, openMax) {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// listenOn takes the listener that the router before handed on, or opens one.
func (s *server) listenOn(h handed, address string) (net.Listener, error) {
	if ln, ok := s.estate.listeners[h]; ok {
		delete(s.estate.listeners, h)
		return ln, nil
	}
	return net.Listen("tcp", address)
}

// openClosed opens the listeners of routes that are not open and counts those
// that still are not.
func (s *server) openClosed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := 0
	for name, l := range s.routes {
		for _, want := range l.status().Listeners {
			if _, open := l.servers[want.Listen]; open {
				continue
			}
			ln, err := s.listenOn(handed{name, want.Listen}, want.Address)
			if err == nil {
				l.serve(want.Listen, ln, s.shared)
				s.log.Info("address opened", "route", name, "address", want.Address)
				continue
			}
			left++
			if l.stays(want.Listen, whyClosed(want.Address, err)) {
				s.log.Error("address not opened; trying again", "route", name, "address", want.Address, "error", err)
			}
		}
	}
	return left
}
