package router

import (
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// TestTally_CountsAtEveryBound: whatever an objective may have for its bound, an
// answer that takes as long is within it, and one that takes longer is not.
func TestTally_CountsAtEveryBound(t *testing.T) {
	c := newCounter()
	s := c.enter("api", []route.Backend{{Revision: "rev_1"}})[0]
	within := func(bound time.Duration) (n uint64) {
		snap := c.snapshot(0, time.Time{}, nil)
		if len(snap.Bounds)+1 != len(snap.Series[0].Client.Buckets) {
			t.Fatalf("%d buckets do not fit %d bounds", len(snap.Series[0].Client.Buckets), len(snap.Bounds))
		}
		i := slices.Index(snap.Bounds, bound.Seconds())
		if i < 0 {
			t.Fatalf("%s is no bound of %v", bound, snap.Bounds)
		}
		for _, in := range snap.Series[0].Client.Buckets[:i+1] {
			n += in
		}
		return n
	}
	for _, bound := range towpath.LatencyBounds() {
		before := within(bound)
		s.client.count(class2xx, bound)
		s.client.count(class2xx, bound+1)
		if n := within(bound) - before; n != 1 {
			t.Errorf("of two answers, one of %s and one that took longer, %d are within it", bound, n)
		}
	}
}

func TestTally_CountsWithoutAllocating(t *testing.T) {
	var x tally
	if n := testing.AllocsPerRun(100, func() { x.count(class2xx, 260*time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestCounter_AbsorbsOtherBounds: a router of a version that counts between other
// bounds is replaced, and what it counted stays at the bounds that it had.
func TestCounter_AbsorbsOtherBounds(t *testing.T) {
	theirs := route.Snapshot{Bounds: []float64{0.1, 0.25, 0.5, 1}, Series: []route.Series{{
		Route: "api", Revision: "rev_1",
		Client: route.Tally{Requests: map[route.Class]uint64{route.Class2xx: 15}, Buckets: []uint64{1, 2, 3, 4, 5}, Seconds: 20},
	}}}
	c := newCounter()
	c.enter("api", []route.Backend{{Revision: "rev_1"}})
	c.absorb(theirs, route.Snapshot{})
	snap := c.snapshot(0, time.Time{}, nil)
	got := snap.Series[0].Client
	if back := towpath.Rebucket(snap.Bounds, got.Buckets, theirs.Bounds); !slices.Equal(back, []uint64{1, 2, 3, 4, 5}) || got.Requests[route.Class2xx] != 15 || got.Seconds != 20 {
		t.Errorf("it has %v of %v, %v s", back, got.Requests, got.Seconds)
	}
	within, all := got.Shown(snap.Bounds)
	if len(within) != 13 || all != 15 || within[7] != (route.Bucket{Bound: 0.25, Requests: 3}) || within[8] != (route.Bucket{Bound: 0.5, Requests: 6}) {
		t.Errorf("it shows %v of %d", within, all)
	}
}
