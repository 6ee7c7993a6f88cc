package server

import (
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestCalls(t *testing.T) {
	c := newCalls()
	woken := func(place towpath.PlaceName, moment uint64) bool {
		select {
		case <-c.Since(place, moment):
			return true
		default:
			return false
		}
	}
	before := c.Now()
	eu := c.Since("eu", before)
	c.Call("us")
	if woken("eu", before) {
		t.Error("a call elsewhere wakes who waits for a place")
	}
	if !woken("us", before) {
		t.Error("a call between the look and the wait is missed")
	}
	if woken("us", c.Now()) {
		t.Error("an old call wakes again")
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { <-eu })
	}
	c.Call("eu")
	all.Wait()
	if woken("eu", c.Now()) {
		t.Error("one call wakes twice")
	}
}
