package analysis

import "math"

// Odds of the bad rate, as multiples of those at the bound, that are bet on.
var (
	breakOdds   = [...]float64{1.5, 2, 3, 6, 15, 50, 200}
	breakStakes = [...]float64{0.15, 0.25, 0.2, 0.15, 0.1, 0.1, 0.05}
	keepOdds    = [...]float64{0.02, 0.2, 0.5, 0.75}
	keepStakes  = [...]float64{0.3, 0.3, 0.3, 0.1}
)

// limit holds the evidence on how the canary's own rate of bad requests stands
// to a bound, by the binomial likelihood of what it had.
type limit struct {
	bound   float64 // share of requests that may be bad, in (0, 1)
	breaks  [len(breakOdds)]float64
	sceptic [len(breakOdds)]float64
	keeps   [len(keepOdds)]float64
}

// addBreak counts an interval for the question whether the bound is broken.
func (l *limit) addBreak(c count) {
	one := clusters(c)
	for i, odds := range breakOdds {
		cost := c.total * math.Log1p(l.bound*(odds-1))
		l.breaks[i] += c.bad*math.Log(odds) - cost
		l.sceptic[i] += one*math.Log(odds) - cost
	}
}

// addKeep counts an interval for the question whether it is kept.
func (l *limit) addKeep(c count) {
	for i, odds := range keepOdds {
		l.keeps[i] += c.bad*math.Log(odds) - c.total*math.Log1p(l.bound*(odds-1))
	}
}
