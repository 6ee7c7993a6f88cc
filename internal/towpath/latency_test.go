package towpath_test

import (
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestLatencyBounds(t *testing.T) {
	bounds := towpath.LatencyBounds()
	if bounds[0] != time.Millisecond || bounds[len(bounds)-1] != 10*time.Second || !slices.IsSorted(bounds[:]) || len(slices.Compact(bounds[:])) != len(bounds) {
		t.Errorf("they do not ascend from 1ms to 10s: %v", bounds)
	}
	for _, before := range []time.Duration{ // of the first routers, whose counts are on disks
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
	} {
		if !slices.Contains(bounds[:], before) {
			t.Errorf("%s is no bound any more: what was counted up to it can't be compared", before)
		}
	}
}

func TestRebucket(t *testing.T) {
	coarse, fine := []float64{0.1, 0.25, 0.5}, []float64{0.1, 0.2, 0.25, 0.3, 0.5, 1}
	for _, tt := range []struct {
		name   string
		from   []float64
		counts []uint64
		to     []float64
		want   []uint64
	}{
		{name: "to fewer bounds adds up", from: fine, counts: []uint64{1, 2, 3, 4, 5, 6, 7}, to: coarse, want: []uint64{1, 5, 9, 13}},
		{name: "to more bounds makes nothing quicker than it was", from: coarse, counts: []uint64{1, 2, 3, 4}, to: fine, want: []uint64{1, 0, 2, 0, 3, 0, 4}},
		{name: "to the same changes nothing", from: coarse, counts: []uint64{1, 2, 3, 4}, to: coarse, want: []uint64{1, 2, 3, 4}},
		{name: "to none has only the sum", from: coarse, counts: []uint64{1, 2, 3, 4}, want: []uint64{10}},
		{name: "of counts that do not fit their bounds is nothing", from: coarse, counts: []uint64{1, 2, 3}, to: fine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := towpath.Rebucket(tt.from, tt.counts, tt.to); !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
