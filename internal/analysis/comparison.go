package analysis

import "math"

// worseRatios are the ratios of the canary's rate to the baseline's that the
// comparison bets on, and how much it stakes on each. A doubling is what people
// want found; the rest keeps small and huge differences in reach.
var (
	worseRatios = [...]float64{1.25, 1.6, 2, 2.5, 3.5, 6, 12, 30, 100}
	worseStakes = [...]float64{0.04, 0.13, 0.31, 0.22, 0.11, 0.07, 0.06, 0.04, 0.02}
	// fineRatios are, as shares of the largest ratio that is no harm, what it
	// bets on to show that the canary is not worse.
	fineRatios = [...]float64{0.1, 0.4, 0.55, 0.75}
	fineStakes = [...]float64{0.2, 0.3, 0.35, 0.15}
)

// comparison holds the evidence on how the canary's rate of bad requests
// stands to the baseline's, beside it in the same intervals.
//
// Given how many requests of an interval were bad in both, the number that the
// canary had is binomial with its share of the requests, whatever the rate was
// in that interval. So what happens to both (an outage, the day's cycle) drops
// out. Each ratio's log likelihood against the null is summed over intervals;
// see [evidence] for what is made of the sums.
type comparison struct {
	tolerance float64 // the ratio that is still no difference, ≥ 1
	harm      float64 // the least ratio that is harm
	worse     [len(worseRatios)]float64
	sceptic   [len(worseRatios)]float64 // as worse, with bursts counted as one
	fine      [len(fineRatios)]float64
	seen      pair // in intervals in which both had requests
}

// addWorse counts an interval for the question whether it is worse.
func (c *comparison) addWorse(p pair) {
	if p.canary.total <= 0 || p.baseline.total <= 0 {
		return
	}
	c.seen = c.seen.plus(p)
	share := p.canary.total / (p.canary.total + p.baseline.total)
	one := clusters(p.canary)
	for i, ratio := range worseRatios {
		gain := math.Log(ratio)
		cost := math.Log(mixed(share, ratio*c.tolerance) / mixed(share, c.tolerance))
		c.worse[i] += p.canary.bad*gain - (p.canary.bad+p.baseline.bad)*cost
		c.sceptic[i] += one*gain - (one+p.baseline.bad)*cost
	}
}

// addFine counts an interval for the question whether harm is ruled out.
func (c *comparison) addFine(p pair) {
	if p.canary.total <= 0 || p.baseline.total <= 0 {
		return
	}
	share := p.canary.total / (p.canary.total + p.baseline.total)
	for i, part := range fineRatios {
		cost := math.Log(mixed(share, part*c.harm) / mixed(share, c.harm))
		c.fine[i] += p.canary.bad*math.Log(part) - (p.canary.bad+p.baseline.bad)*cost
	}
}

// surplus is what a dispersion of 1 is too large by: of independent requests, a
// share p of them bad, the conditional count scatters by 1−p times what the
// binomial does, because it is drawn without replacement (hypergeometric).
func (c *comparison) surplus() float64 {
	return math.Min(c.seen.canary.plus(c.seen.baseline).rate(), 0.5)
}

func mixed(share, ratio float64) float64 { return share*ratio + 1 - share }

// burst is how many bad requests of one interval may be one event as long as
// nothing is known of how they come, and bulk the share of the interval's
// requests above which they are more than that.
const (
	burst = 5
	bulk  = 0.25
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

// evidence is the logarithm of the mixture of bets, each sum divided by the
// dispersion. For bursts of exactly that size this is the likelihood ratio of
// the bursts; it grows by e only if a bet is e times as likely as the null.
func evidence(sums, stakes []float64, dispersion float64) float64 {
	logs := make([]float64, 0, 16)
	for i, s := range sums {
		logs = append(logs, math.Log(stakes[i])+s/dispersion)
	}
	return logSum(logs)
}

// silent says that the baseline had too few bad requests to make a burst,
// although it had enough requests to have shown one: then the canary's bad
// requests in bulk are news. Enough means that as many bursts as it takes, two
// at least, are unlikely to fall into this interval of the canary, at the most
// unfavourable rate within the budget, beside so much silence. For λ bursts in
// the canary's interval, k of them needed, and R times as many requests of the
// baseline that probability is about λᵏ/k!·exp(−λR), with its peak at λ = k/R.
func silent(seen, now pair, budget, risk float64) bool {
	if seen.baseline.bad >= burst || now.canary.total <= 0 {
		return false
	}
	beside := seen.baseline.total / now.canary.total
	needed := math.Max(2, math.Ceil(now.canary.bad/burst))
	bursts := math.Min(budget*now.canary.total/burst, needed/math.Max(beside, 1e-9))
	ways, _ := math.Lgamma(needed + 1)
	return needed*math.Log(bursts)-ways-bursts*beside <= math.Log(risk)
}

// weigh is the log evidence of the bets, given what was known of the dispersion
// before this interval. Bursts that are not ruled out yet cost: either the
// largest plausible dispersion is assumed, or, beside a silent baseline, small
// bursts count as one.
func (s scatter) weigh(sums, sceptic, stakes []float64, surplus float64, hushed bool) float64 {
	if s.calm {
		return evidence(sums, stakes, s.mean-surplus)
	}
	log := evidence(sums, stakes, s.bound-surplus)
	if hushed {
		log = math.Max(log, evidence(sceptic, stakes, s.harmonic-surplus))
	}
	return log
}

// cautious is the dispersion to assume where there is no second view.
func (s scatter) cautious() float64 {
	if s.calm {
		return s.mean
	}
	return s.bound
}
