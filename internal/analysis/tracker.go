package analysis

import (
	"math"
	"time"
)

// How the risk of an objective is divided among its questions. The comparison
// has the most, because it alone is indifferent to what happens to both.
const (
	riskCompares = 0.88
	riskBreaks   = 0.10
	riskBurns    = 0.02
	riskShifts   = 0.30 // taken from riskCompares, when there is a distribution
)

// quietAfter is for how many intervals in a row nothing may be read before what
// was read until then says nothing about now.
const quietAfter = 3

// riskPass is the risk of calling a revision not worse that does harm.
const riskPass = 0.05

// tracker judges one objective, interval by interval.
type tracker struct {
	o     Objective
	alone bool
	alpha float64

	dispersion *dispersion
	compares   comparison
	breaks     limit
	clear      limit // of half the budget: clearly no harm, whatever the baseline does
	burns      []*burning
	after      *after // of a revision that has all of the traffic; else nil
	shifts     *shift // of a quantile that asks for it; else nil
	gauge      *gauge // of a threshold

	past    []slice
	row     row
	seen    pair          // what was counted
	begun   bool          // the canary has had requests
	before  count         // of the baseline, until then
	samples pair          // what was counted, of a threshold its values
	moments count         // of a threshold: the intervals of the canary
	span    time.Duration // of the intervals in which the canary was seen
	read    int
	errored int
	quiet   int    // intervals since both revisions were read
	why     string // the source could not be asked last; empty: it could

	log     logs
	decided *time.Time
}

// logs are the log evidences after the last interval, for yes.
type logs struct{ breaks, compares, shifts, burns float64 }

func newTracker(o Objective, alpha float64, alone bool) *tracker {
	none := math.Inf(-1)
	t := &tracker{
		o: o, alone: alone, alpha: alpha,
		dispersion: newDispersion(),
		compares:   comparison{tolerance: o.Tolerance, harm: o.Harm},
		breaks:     limit{bound: o.budget()},
		clear:      limit{bound: o.budget() / 2},
		log:        logs{none, none, none, none},
	}
	for _, b := range o.Burns {
		t.burns = append(t.burns, newBurning(b, o.budget()))
	}
	switch o.Kind {
	case Quantile:
		if o.Shifts {
			t.shifts = newShift(o, alpha)
		}
	case Threshold:
		t.gauge = newGauge(o)
	}
	return t
}

// afterSwitch has a revision judged that has all of the traffic.
func (t *tracker) afterSwitch() {
	t.alone, t.shifts = true, nil
	t.after = newAfter(t.alpha * riskBreaksAfter)
	for _, b := range t.burns {
		b.most = portion(t.alpha * riskBurnsAfter)
	}
}

// see takes one interval. Nothing that comes after the decision changes it.
func (t *tracker) see(interval Interval) {
	reading, read := interval.Readings[t.o.Name]
	switch {
	case t.decided != nil:
		return
	case !read:
		t.quiet++
		return
	case reading.Errored != "":
		t.quiet++
		t.errored++
		t.why = reading.Errored
		return
	}
	t.read++
	t.quiet++
	t.why = ""
	if reading.Canary != nil && (t.alone || reading.Baseline != nil) {
		t.quiet = 0
	}
	span := slice{start: interval.Start, end: interval.End}
	switch t.o.Kind {
	case Ratio:
		span.pair = pair{counted(reading.Canary), counted(reading.Baseline)}
		t.count(span, span.pair)
	case Quantile:
		canary, baseline := buckets(reading.Canary), buckets(reading.Baseline)
		span.pair = pair{canary.beyond(t.o.Bound).whole(), baseline.beyond(t.o.Bound).whole()}
		if t.shifts != nil {
			t.shifts.add(canary, baseline)
		}
		t.count(span, span.pair)
	case Threshold:
		t.sample(span, values(reading.Canary), values(reading.Baseline))
	}
}

// count takes what was counted in an interval.
func (t *tracker) count(span slice, samples pair) {
	t.noteSamples(span, samples)
	t.keep(span.pair)
	t.accuse(span)
}

// sample takes sampled values. What speaks for the revision is counted in every
// interval, what speaks against it once a batch.
func (t *tracker) sample(span slice, canary, baseline []float64) {
	t.noteSamples(span, pair{count{total: float64(len(canary))}, count{total: float64(len(baseline))}})
	moments := pair{t.gauge.moment(canary), t.gauge.moment(baseline)}
	t.moments = t.moments.plus(moments.canary)
	t.keep(moments)
	if whole, ok := t.gauge.add(canary, baseline); ok {
		span.pair = whole
		t.gauge.look()
		t.accuse(span)
	}
}

func (t *tracker) noteSamples(span slice, samples pair) {
	t.samples = t.samples.plus(samples)
	if samples.canary.total > 0 {
		t.span += span.end.Sub(span.start)
	}
}

func (t *tracker) keep(p pair) {
	t.compares.addFine(p)
	t.breaks.addKeep(p.canary)
	t.clear.addKeep(p.canary)
}

// accuse weighs the evidence against the revision after one more interval. How
// the counts scatter is taken as it was known of the canary before, so that an
// interval can't excuse itself, and of the baseline including this interval: what
// hits both, and one of them harder, is a burst already when it begins.
func (t *tracker) accuse(span slice) {
	if !t.begun && t.samples.canary.total > 0 {
		t.begun = true
		t.dispersion.temper()
		if t.after != nil {
			t.after.begin(t.o, t.before)
		}
	}
	t.dispersion.learn(baselineArm, span.baseline)
	known := t.dispersion.estimate()
	t.dispersion.learn(canaryArm, span.canary)
	t.seen = t.seen.plus(span.pair)
	if !t.begun {
		t.before = t.before.plus(span.baseline)
	}
	t.past = append(t.past, span)
	t.compares.addWorse(span.pair)
	t.breaks.addBreak(span.pair.canary)

	t.row.next(span.canary)
	hushed := t.row.isNews(t.seen, span.pair, t.o.budget(), t.alpha)
	t.log.compares = t.comparison(known, hushed)
	t.log.breaks = t.breaking(known, hushed, span.canary)
	t.log.burns = math.Inf(-1)
	for _, b := range t.burns {
		// A change of the rate looks like a burst itself; it may not hide here.
		b.add(span.pair.canary, math.Min(known.cautious(), burst))
		t.log.burns = math.Max(t.log.burns, b.evidence(t.past)-math.Log(float64(len(t.burns))))
	}
	if t.shifts != nil {
		t.log.shifts = t.shifts.log
	}
	if t.isWorse() {
		t.decided = &span.end
	}
}

func (t *tracker) breaking(known scatter, hushed bool, canary count) float64 {
	switch {
	case t.after == nil:
		return known.weigh(t.breaks.breaks[:], t.breaks.sceptic[:], breakStakes[:], 0, hushed)
	case !t.begun:
		return math.Inf(-1)
	}
	t.after.add(canary, math.Max(known.cautious(), wander))
	return t.after.evidence()
}

func (t *tracker) comparison(known scatter, hushed bool) float64 {
	switch {
	case t.o.Ranks:
		return t.gauge.log
	case t.compares.seen.canary.total == 0:
		return math.Inf(-1)
	}
	return known.weigh(t.compares.worse[:], t.compares.sceptic[:], worseStakes[:], t.compares.surplus(), hushed)
}

// risks are the risks of the questions, in the order of [logs].
func (t *tracker) risks() logs {
	r := logs{breaks: riskBreaks, compares: riskCompares, burns: riskBurns}
	switch {
	case t.after != nil:
		r = logs{breaks: riskBreaksAfter, burns: riskBurnsAfter}
	case t.alone:
		r.breaks += r.compares
		r.compares = 0
	}
	if t.shifts != nil && !t.alone {
		r.compares -= riskShifts
		r.shifts = riskShifts
	}
	return logs{t.alpha * r.breaks, t.alpha * r.compares, t.alpha * r.shifts, t.alpha * r.burns}
}

func (t *tracker) isWorse() bool {
	risk := t.risks()
	yes := func(log, risk float64) bool { return risk > 0 && log >= -math.Log(risk) }
	return yes(t.log.compares, risk.compares) || yes(t.log.shifts, risk.shifts) ||
		t.baselineKeeps() && (yes(t.log.breaks, risk.breaks) || yes(t.log.burns, risk.burns))
}

// baselineKeeps says whether the baseline clearly keeps the objective, beside the
// canary: what it did before excuses nothing that happens to both now. Where it
// hardly does, breaking it is no reason to go back to it: the comparison decides.
func (t *tracker) baselineKeeps() bool {
	beside := t.beside()
	return t.alone || beside.total > 0 && clearlyKeeps(beside, t.o.budget())
}

// beside is what was counted of the baseline since the canary has had requests.
func (t *tracker) beside() count {
	return count{t.seen.baseline.bad - t.before.bad, t.seen.baseline.total - t.before.total}.whole()
}

// counted makes a count of what a source said: it may have extrapolated bad and
// total differently, or found the rounding error of a difference.
func counted(s *Sample) count {
	if s == nil {
		return count{}
	}
	return count{s.Bad, s.Total}.whole()
}

func (c count) whole() count {
	if c.total < 1e-6 {
		return count{}
	}
	if c.bad < 1e-9*c.total {
		c.bad = 0
	}
	return count{math.Min(c.bad, c.total), c.total}
}

func buckets(s *Sample) Histogram {
	if s == nil || s.Histogram == nil {
		return Histogram{}
	}
	return *s.Histogram
}

func values(s *Sample) []float64 {
	if s == nil {
		return nil
	}
	return s.Values
}
