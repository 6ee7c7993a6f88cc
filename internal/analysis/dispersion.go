package analysis

import (
	"math"
	"slices"
)

// count is how many of how many requests were bad. Counts may be fractions:
// a metric source that extrapolates gives such.
type count struct{ bad, total float64 }

func (c count) plus(d count) count { return count{c.bad + d.bad, c.total + d.total} }

func (c count) rate() float64 {
	if c.total <= 0 {
		return 0
	}
	return c.bad / c.total
}

// pair is what was counted of both revisions in the same interval.
type pair struct{ canary, baseline count }

// arm is one of them.
type arm int

const (
	canaryArm arm = iota
	baselineArm
)

// dispersions are the ratios of variance to mean that are thought possible:
// roughly the number of bad requests that come together. Their prior weights
// say that independent requests are the rule.
var (
	dispersions      = [...]float64{1, 1.5, 2, 3, 5, 8, 13, 25, 60, 200}
	dispersionPriors = [...]float64{0.76, 0.08, 0.07, 0.045, 0.027, 0.014, 0.003, 0.0006, 0.0003, 0.0001}
)

const (
	// memory is the share of the past that an interval leaves to the next, when
	// the rate around it is estimated: about ten intervals count, so that the
	// slow change of a day is not mistaken for bursts.
	memory = 0.9
	// doubt is the weight of the dispersions that may be left out of account.
	doubt = 0.01
	// leastShareOfPast keeps logarithms finite when traffic changes by any factor.
	leastShareOfPast = 1e-12
	// leftover is the part of a bad request that, when that is all that is left of the
	// past, tells dispersions apart no more. Without it each second of silence would
	// speak against bursts by the same, for ever.
	leftover = 0.25
	// bursty is the least dispersion that is called bursts.
	bursty = 3
	// hearsay is the log evidence that the time before the canary may bring for one
	// dispersion over another. An outage then, or the cold start of the baseline, is
	// no burst that will come again: what is seen during the rollout has to be able
	// to say so in seconds.
	hearsay = 6
)

// dispersion learns how far the counts of each revision scatter about their
// own recent rate, never about each other's: a canary that is steadily worse
// scatters no more than one that is not.
//
// It is the posterior over [dispersions]. The likelihood of an interval is that
// of its share of what this interval and the recent past have seen together:
// binomial for independent requests, beta-binomial (Pólya) for bursts. The
// unknown rate cancels, so that nothing has to be fitted.
type dispersion struct {
	log    [len(dispersions)]float64
	recent [2]count
}

func newDispersion() *dispersion {
	d := &dispersion{}
	for i, p := range dispersionPriors {
		d.log[i] = math.Log(p)
	}
	return d
}

// learn takes what one revision had in an interval.
func (d *dispersion) learn(a arm, c count) {
	past := &d.recent[a]
	if together := past.bad + c.bad; together > 0 && past.total > 0 && c.total > 0 {
		share := min(max(c.total/(past.total+c.total), leastShareOfPast), 1-leastShareOfPast)
		for i, phi := range dispersions {
			d.log[i] += likelihood(c.bad, together, share, phi)
		}
	}
	past.bad = memory*past.bad + c.bad
	past.total = memory*past.total + c.total
}

// temper takes what was learnt so far for hearsay.
func (d *dispersion) temper() {
	best := math.Inf(-1)
	for i, p := range dispersionPriors {
		best = math.Max(best, d.log[i]-math.Log(p))
	}
	for i, p := range dispersionPriors {
		d.log[i] = math.Log(p) + math.Max(d.log[i]-math.Log(p)-best, -hearsay)
	}
}

// likelihood is the log probability, up to what does not depend on phi, that of
// `together` bad requests `bad` fall into an interval with this share of all
// requests, when they come in bursts that make the variance phi times as large.
func likelihood(bad, together, share, phi float64) float64 {
	rest := together - bad
	// One bad request falls anywhere, however they come, and so does what is left of
	// one: silence long after a burst is no evidence that there are none.
	if phi == 1 || bad == 0 && together < leftover {
		return bad*math.Log(share) + rest*math.Log1p(-share)
	}
	all := together / (phi - 1)
	return rising(all*share, bad) + rising(all*(1-share), rest) - rising(all, together)
}

// rising is the logarithm of the rising factorial: Γ(a+x)/Γ(a).
func rising(a, x float64) float64 {
	if x == 0 {
		return 0
	}
	above, _ := math.Lgamma(a + x)
	below, _ := math.Lgamma(a)
	return above - below
}

// scatter is what is known of a dispersion.
type scatter struct {
	mean     float64
	harmonic float64 // the mean of what evidence is multiplied by, inverted
	bound    float64 // exceeded with a probability of at most doubt
	calm     bool    // bursts are ruled out with that certainty
	few      float64 // the mean, if bad requests come in no bursts
	// against is the log evidence that the scatter of the counts is of another
	// dispersion than each, at least 0: what bets on the others have won.
	against [len(dispersions)]float64
}

func (d *dispersion) estimate() scatter {
	total := logSum(d.log[:])
	s := scatter{bound: dispersions[len(dispersions)-1]}
	inverse, bursts, above, few := 0.0, 0.0, 0.0, 0.0
	calm := logSum(d.log[:slices.Index(dispersions[:], bursty)])
	for i := len(dispersions) - 1; i >= 0; i-- {
		phi, weight := dispersions[i], math.Exp(d.log[i]-total)
		s.against[i] = math.Max(0, math.Log(dispersionPriors[i])-(d.log[i]-total))
		s.mean += phi * weight
		inverse += weight / phi
		if above <= doubt {
			s.bound = phi
		}
		above += weight
		if phi >= bursty {
			bursts += weight
		} else {
			few += math.Exp(d.log[i]-calm) / phi
		}
	}
	s.few = 1 / few
	s.harmonic = 1 / inverse
	s.calm = bursts <= doubt
	return s
}

// logSum is the logarithm of the sum of what these are the logarithms of.
func logSum(logs []float64) float64 {
	top := math.Inf(-1)
	for _, l := range logs {
		top = math.Max(top, l)
	}
	if math.IsInf(top, 0) {
		return top
	}
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - top)
	}
	return top + math.Log(sum)
}
