package analysis

import "math"

// worseRatios are the ratios of the canary's rate to the baseline's that the
// comparison bets on, and how much it stakes on each. A doubling is what people
// want found; the rest keeps small and huge differences in reach.
var (
	worseRatios = [...]float64{1.25, 1.6, 2, 2.5, 3.5, 6, 12, 30, 100}
	worseStakes = [...]float64{0.02, 0.11, 0.41, 0.22, 0.08, 0.06, 0.04, 0.04, 0.02}
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

// weigh is the log evidence of the bets, given what was known of the dispersion
// before this interval. Bursts that are not ruled out yet cost: each dispersion
// that is plausible has to be refuted by the bets and by how the counts scatter,
// together; or, beside a silent baseline, small bursts count as one.
func (s scatter) weigh(sums, sceptic, stakes []float64, surplus float64, hushed bool) float64 {
	if s.calm {
		return evidence(sums, stakes, s.harmonic-surplus)
	}
	log := evidence(sums, stakes, s.few-surplus)
	for i, phi := range dispersions {
		if phi >= bursty && phi <= s.bound {
			log = math.Min(log, evidence(sums, stakes, phi-surplus)+s.against[i])
		}
	}
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
