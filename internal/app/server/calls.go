package server

import (
	"sync"

	"github.com/towpath/towpath/internal/towpath"
)

// calls wake the agents of a place: there is something to do.
type calls struct {
	mu     sync.Mutex
	now    uint64 // calls of all places
	places map[towpath.PlaceName]*call
}

// call is the last one of a place.
type call struct {
	at   uint64
	next chan struct{} // closed at the next one
}

func newCalls() *calls { return &calls{places: map[towpath.PlaceName]*call{}} }

// Now is a moment, for Since.
func (c *calls) Now() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Since is closed once a place was called after a moment.
func (c *calls) Since(place towpath.PlaceName, moment uint64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.place(place)
	if p.at > moment {
		already := make(chan struct{})
		close(already)
		return already
	}
	return p.next
}

// Call wakes everybody who waits for a place. It never blocks.
func (c *calls) Call(place towpath.PlaceName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.place(place)
	c.now++
	p.at = c.now
	close(p.next)
	p.next = make(chan struct{})
}

func (c *calls) place(name towpath.PlaceName) *call {
	p := c.places[name]
	if p == nil {
		p = &call{next: make(chan struct{})}
		c.places[name] = p
	}
	return p
}
