package analysis

import "math"

const (
	// shiftTolerance is the ratio of the shares beyond the cut that is still no
	// shift: a busy service is never exactly as fast as it was.
	shiftTolerance = 1.25
	// The cut is looked for when the baseline had this many requests, where about
	// a tenth of them lie beyond it, and certainly more than 2 % and less than half.
	shiftSamples = 50
	shiftShare   = 0.1
	leastShare   = 0.02
	mostShare    = 0.5
)

// shift asks whether the canary's latencies lie higher than the baseline's,
// wherever the bound is: whether more of its requests are beyond a cut that few
// of the baseline's are beyond. The cut is chosen once, from what the baseline
// did before, so that choosing it proves nothing by itself.
type shift struct {
	o          Objective
	dispersion *dispersion
	comparison comparison
	shape      Histogram // the baseline's, until the cut is chosen
	row        row
	cut        float64
	chosen     bool
	risk       float64
	log        float64
}

func newShift(o Objective, risk float64) *shift {
	tolerance := math.Max(o.Tolerance, shiftTolerance)
	return &shift{
		o: o, risk: risk, dispersion: newDispersion(), log: math.Inf(-1),
		comparison: comparison{tolerance: tolerance, harm: math.Max(o.Harm, 2*tolerance)},
	}
}

func (s *shift) add(canary, baseline Histogram) {
	if !s.chosen {
		s.learn(baseline)
		s.choose()
		return
	}
	p := pair{canary.beyond(s.cut).whole(), baseline.beyond(s.cut).whole()}
	s.dispersion.learn(baselineArm, p.baseline)
	known := s.dispersion.estimate()
	s.dispersion.learn(canaryArm, p.canary)
	s.comparison.addWorse(p)
	seen := s.comparison.seen
	if seen.canary.total > 0 {
		s.row.next(p.canary)
		hushed := s.row.isNews(seen, p, shiftShare, s.risk)
		s.log = known.weigh(s.comparison.worse[:], s.comparison.sceptic[:], worseStakes[:], s.comparison.surplus(), hushed)
	}
}

// learn adds to the shape of the baseline; buckets that change start it anew.
func (s *shift) learn(h Histogram) {
	same := len(s.shape.Bounds) == len(h.Bounds)
	for i := 0; same && i < len(h.Bounds); i++ {
		same = s.shape.Bounds[i] == h.Bounds[i]
	}
	if !same || len(s.shape.Counts) == 0 {
		s.shape = Histogram{Bounds: h.Bounds, Counts: append([]float64(nil), h.Counts...)}
		return
	}
	for i, n := range h.Counts {
		s.shape.Counts[i] += n
	}
}

func (s *shift) choose() {
	if s.shape.beyond(0).total < shiftSamples {
		return
	}
	best := math.Inf(1)
	for _, bound := range s.shape.Bounds {
		share := s.shape.beyond(bound).rate()
		if off := math.Abs(math.Log(share / shiftShare)); share > leastShare && share < mostShare && off < best {
			best, s.cut, s.chosen = off, bound, true
		}
	}
}
