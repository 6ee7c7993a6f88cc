package analysis

import "math"

// How the risk of an objective is divided when the new revision has all of the
// traffic. There is nothing beside it to be compared with.
const (
	riskBreaksAfter = 0.6
	riskBurnsAfter  = 0.4
)

// leastBad is how many intervals it takes at least to find a revision worse that
// has all of the traffic. What happens in fewer may be anything that happened to
// come then, however many requests it hit.
const leastBad = 3

// wander is the least dispersion that is believed of a revision with nothing
// beside it: a rate that goes up and down over many intervals, of which a
// comparison sees nothing, scatters in none of them.
const wander = 5

// mostBound is the bound above which nobody can tell better from worse.
const mostBound = 0.95

// after is the question whether a revision that has all of the traffic breaks its
// objective. Nothing runs beside it, so that an outage, or the day's cycle, does
// not drop out as it does in a [comparison]. The baseline's time before excuses and
// never accuses: where it was bad itself, what counts as breaking begins at as many
// times its rate as harm does. That the new revision is worse than what was before,
// within its objective, may be the time of the day, and is no reason to go back.
//
// Each interval may bring a part of the evidence only. A bet that pays less than it
// might is still fair, so the bound on false alarms holds.
type after struct {
	bound float64 // share of requests that may be bad; 0: not known yet
	most  float64 // log evidence that one interval may bring
	log   [len(breakOdds)]float64
}

func newAfter(risk float64) *after { return &after{most: portion(risk)} }

// portion is the log evidence that one interval may bring, of what a risk takes.
func portion(risk float64) float64 { return -math.Log(risk) / leastBad }

// begin takes what the baseline did before.
func (a *after) begin(o Objective, before count) {
	a.bound = math.Min(math.Max(o.budget(), o.Harm*before.rate()), mostBound)
}

func (a *after) add(c count, dispersion float64) {
	if c.total <= 0 {
		return
	}
	for i, odds := range breakOdds {
		gain := c.bad*math.Log(odds) - c.total*math.Log1p(a.bound*(odds-1))
		a.log[i] += math.Min(gain/dispersion, a.most)
	}
}

func (a *after) evidence() float64 { return evidence(a.log[:], breakStakes[:], 1) }
