package towpath

import (
	"slices"
	"time"
)

// LatencyBounds are the times between which a data plane counts how long answers
// took, ascending: the upper bounds of its buckets, but the last one's, which has
// none. Only they can be the bound of a latency objective: of what lies inside a
// bucket nobody knows on which side of another time it was. They are 1, 1.5, 2,
// 2.5, 3, 4, 5, 6, 7.5 and 8 in each power of ten from 1 ms on, and 10 s.
func LatencyBounds() [41]time.Duration {
	const ms = time.Millisecond
	return [...]time.Duration{
		1 * ms, 1500 * time.Microsecond, 2 * ms, 2500 * time.Microsecond, 3 * ms, 4 * ms, 5 * ms, 6 * ms, 7500 * time.Microsecond, 8 * ms,
		10 * ms, 15 * ms, 20 * ms, 25 * ms, 30 * ms, 40 * ms, 50 * ms, 60 * ms, 75 * ms, 80 * ms,
		100 * ms, 150 * ms, 200 * ms, 250 * ms, 300 * ms, 400 * ms, 500 * ms, 600 * ms, 750 * ms, 800 * ms,
		1000 * ms, 1500 * ms, 2000 * ms, 2500 * ms, 3000 * ms, 4000 * ms, 5000 * ms, 6000 * ms, 7500 * ms, 8000 * ms,
		10_000 * ms,
	}
}

// Rebucket puts what was counted in buckets into those of other bounds, in
// seconds, each without those before and with one more that has no bound. What
// was in one bucket stays together, in the first that reaches as far, so that
// nothing counts as quicker than it was; where the new bounds are all among the
// old ones it is exact. It is nil where counts do not fit their bounds.
func Rebucket(bounds []float64, counts []uint64, to []float64) []uint64 {
	if len(counts) != len(bounds)+1 {
		return nil
	}
	out := make([]uint64, len(to)+1)
	for i, n := range counts {
		at := len(to)
		if i < len(bounds) {
			at, _ = slices.BinarySearch(to, bounds[i])
		}
		out[at] += n
	}
	return out
}
