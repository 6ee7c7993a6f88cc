package analysis

import (
	"math"
	"time"
)

var (
	burnOdds   = [...]float64{1.5, 2, 3, 6, 15}
	burnStakes = [...]float64{0.2, 0.25, 0.25, 0.2, 0.1}
)

// slice is what one interval counted, for windows that look back.
type slice struct {
	pair
	start, end time.Time
}

// burning holds the evidence that the error budget is used up too fast now,
// whenever it began: a mixture of tests that begin at each interval, the t-th
// with the weight 1/(t(t+1)), so that a long good past does not outweigh a bad
// present. That mixture is again a test that may be looked at at any time.
type burning struct {
	Burn
	bound  float64 // the bad rate that is too fast
	most   float64 // log evidence that one interval may bring; 0: any
	log    [len(burnOdds)]float64
	number float64 // of intervals with requests
}

func newBurning(b Burn, budget float64) *burning {
	n := &burning{Burn: b, bound: budget * b.Factor}
	for i := range n.log {
		n.log[i] = math.Inf(-1)
	}
	return n
}

// possible says whether a revision can burn so fast at all: a budget of 20 %
// can't burn ten times as fast as it may.
func (b *burning) possible() bool { return b.bound < 0.95 }

func (b *burning) add(c count, dispersion float64) {
	if c.total <= 0 || !b.possible() {
		return
	}
	b.number++
	begin := -math.Log(b.number * (b.number + 1))
	for i, odds := range burnOdds {
		ratio := c.bad*math.Log(odds) - c.total*math.Log1p(b.bound*(odds-1))
		ratio /= dispersion
		if b.most > 0 {
			ratio = math.Min(ratio, b.most)
		}
		b.log[i] = logSum([]float64{b.log[i], begin}) + ratio
	}
}

// evidence is minus infinity while the windows themselves do not burn.
func (b *burning) evidence(past []slice) float64 {
	if !b.possible() || b.number == 0 || !b.burns(past) {
		return math.Inf(-1)
	}
	return evidence(b.log[:], burnStakes[:], 1)
}

// burns says whether the rates in both windows are too fast for the canary, and
// not also for the baseline beside it.
func (b *burning) burns(past []slice) bool {
	long, short := within(past, b.Long), within(past, b.Short)
	return long.canary.rate() >= b.bound && short.canary.rate() >= b.bound && long.baseline.rate() < b.bound
}

// within sums up the intervals that begin within the window that ends with the
// last of them; always at least that one.
func within(past []slice, window time.Duration) pair {
	var sum pair
	for i := len(past) - 1; i >= 0; i-- {
		if i < len(past)-1 && past[i].start.Before(past[len(past)-1].end.Add(-window)) {
			break
		}
		sum = sum.plus(past[i].pair)
	}
	return sum
}

func (p pair) plus(q pair) pair { return pair{p.canary.plus(q.canary), p.baseline.plus(q.baseline)} }
