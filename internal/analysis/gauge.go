package analysis

import (
	"math"
	"slices"
)

const (
	// batchOf is how many intervals of sampled values speak once. Values of the
	// next interval say nearly the same as this one's; of the next batch less so.
	batchOf = 10
	// firstLook is the number of batches at which ranks are compared first; after
	// that whenever it has doubled.
	firstLook = 8
	// mediumEffect is the least effect that counts as worse by ranks.
	mediumEffect = 0.64
)

// gauge makes moments of sampled values: the median of each revision's values in
// an interval, or in a batch of intervals, within the bound or beyond it.
type gauge struct {
	bound            float64
	least            bool
	inBatch          int
	canary, baseline []float64 // values of the batch so far
	// The medians of whole batches, turned so that greater is worse.
	canaries, baselines []float64
	ranked              RankTest
	looks               int
	log                 float64 // log evidence of the looks at ranks
}

func newGauge(o Objective) *gauge {
	return &gauge{bound: o.Bound, least: o.Least, log: math.Inf(-1)}
}

// moment is whether the median of values is beyond the bound; of none, nothing.
func (g *gauge) moment(values []float64) count {
	if len(values) == 0 {
		return count{}
	}
	m := median(values)
	if g.least && m < g.bound || !g.least && m > g.bound {
		return count{bad: 1, total: 1}
	}
	return count{total: 1}
}

// add takes an interval's values and says whether a batch is whole; if so, what
// it says.
func (g *gauge) add(canary, baseline []float64) (pair, bool) {
	g.canary = append(g.canary, canary...)
	g.baseline = append(g.baseline, baseline...)
	g.inBatch++
	if g.inBatch < batchOf {
		return pair{}, false
	}
	whole := pair{g.moment(g.canary), g.moment(g.baseline)}
	if len(g.canary) > 0 && len(g.baseline) > 0 {
		g.canaries = append(g.canaries, g.turned(median(g.canary)))
		g.baselines = append(g.baselines, g.turned(median(g.baseline)))
	}
	g.inBatch, g.canary, g.baseline = 0, nil, nil
	return whole, true
}

func (g *gauge) turned(v float64) float64 {
	if g.least {
		return -v
	}
	return v
}

// look compares ranks at 8, 16, 32 … batches; the k-th look spends 1/(k(k+1)) of
// the risk. When one looks is fixed by the number of batches, so looking more
// often changes nothing.
func (g *gauge) look() {
	n := len(g.canaries)
	if n != firstLook<<g.looks {
		return
	}
	g.looks++
	g.ranked = MannWhitney(g.canaries, g.baselines)
	if g.ranked.Effect < mediumEffect {
		return
	}
	k := float64(g.looks)
	g.log = math.Max(g.log, -math.Log(g.ranked.P)-math.Log(k*(k+1)))
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return s[n/2-1]/2 + s[n/2]/2
}
