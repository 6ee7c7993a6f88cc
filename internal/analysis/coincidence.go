package analysis

import "math"

// burst is how many bad requests of one interval may be one event as long as
// nothing is known of how they come, and bulk the share of the interval's
// requests above which they are more than that.
const (
	burst = 5
	bulk  = 0.25
	// inRow is the least share that makes an interval another one in a row.
	inRow = 0.1
	// stretch is how much longer extrapolation may make a burst.
	stretch = 1.6
)

// clusters counts the bad requests of an interval as a sceptic would: a burst of
// them is one event, because it takes only one coincidence. More of them that
// are a large part of all requests are counted singly: it would take two bursts
// in the same interval to look like that. Counts that are not whole were
// extrapolated, and a burst with them.
func clusters(c count) float64 {
	one := float64(burst)
	if c.bad != math.Trunc(c.bad) || c.total != math.Trunc(c.total) {
		one *= stretch
	}
	if c.bad > one && c.bad >= bulk*c.total {
		return c.bad
	}
	return math.Min(c.bad, math.Ceil(c.bad/one))
}

// row is how long the canary has been bad in bulk without an interval in which it
// was not: bad requests of one interval may be one event, however many they are,
// and those of the next are another.
type row struct {
	intervals float64
	count
}

// next takes an interval; one without requests of the canary neither ends a row
// nor makes it longer.
func (r *row) next(c count) {
	switch {
	case c.total <= 0:
	case c.bad > 0 && c.bad >= inRow*c.total:
		r.intervals++
		r.count = r.count.plus(c)
	default:
		*r = row{}
	}
}

// isNews says that this row is too unlikely a coincidence, beside a baseline that
// has had too few bad requests to make a burst. Bursts come to the canary as often
// as its share of the traffic says, so the first one there proves nothing, however
// large it is: seen and now are what was counted in all and in the last interval.
//
// For bursts that come λ times in an interval of the canary, and R times as many
// requests of the silent baseline, that n intervals in a row of the canary have one
// before the baseline has any has a probability of about λⁿ·exp(−λR) at each
// interval, and of λⁿ⁻¹·exp(−λR)/(1+r) at this or any later one, if r is how many
// requests the baseline has beside one of the canary. It is taken at the most
// unfavourable λ within the budget. A single one may be believed as long as the
// canary is young beside what was seen of the baseline before it: that has half of
// the risk, and what comes later the other.
func (r row) isNews(seen, now pair, budget, risk float64) bool {
	if seen.baseline.bad >= burst || r.intervals == 0 || now.canary.total <= 0 {
		return false
	}
	each := r.total / r.intervals
	silence := seen.baseline.total / each
	often := func(power float64) float64 { return math.Min(budget*r.total/r.bad, power/math.Max(silence, 1e-9)) }
	if λ := often(1); λ*math.Exp(-λ*silence)*seen.canary.total/each <= risk/2 {
		return true
	}
	if r.intervals < 2 {
		return false
	}
	λ := often(r.intervals - 1)
	beside := now.baseline.total / now.canary.total
	return math.Pow(λ, r.intervals-1)*math.Exp(-λ*silence)/(1+beside) <= risk
}
