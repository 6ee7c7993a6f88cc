package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// verdict says what has been found out so far.
func (t *tracker) verdict() Verdict {
	risk, beside := t.risks(), t.beside()
	v := Verdict{
		Objective: t.o.Name,
		Breaks:    answer(t.log.breaks, risk.breaks),
		Compares:  answer(t.log.compares, risk.compares),
		Shifts:    answer(t.log.shifts, risk.shifts),
		Burns:     answer(t.log.burns, risk.burns),
		Canary:    Count{t.seen.canary.bad, t.seen.canary.total},
		Baseline:  Count{beside.bad, beside.total},
		Before:    Count{t.before.bad, t.before.total},
		Intervals: t.read, Errored: t.errored, Decided: t.decided,
	}
	if t.after != nil && t.gauge != nil { // nothing comes after this: what looks bad is to be seen before batches are whole
		v.Canary = Count{t.moments.bad, t.moments.total}
	}
	t.deny(&v)
	v.Outcome = t.outcome(v)
	v.Sentence = t.sentence(v)
	return v
}

func answer(log, risk float64) Answer {
	if risk <= 0 {
		return Answer{Outcome: NoEvidence}
	}
	a := Answer{Outcome: Undecided, E: e(log), Needs: 1 / risk}
	switch {
	case log >= -math.Log(risk):
		a.Outcome = Worse
	case math.IsInf(log, -1):
		a.Outcome = NoEvidence
	}
	return a
}

// deny finds the questions whose answer is no: harm is ruled out.
func (t *tracker) deny(v *Verdict) {
	needs := -math.Log(riskPass)
	mean := t.dispersion.estimate().mean
	no := func(a *Answer, is bool) {
		if is && a.Outcome != Worse {
			a.Outcome = NotWorse
		}
	}
	clear := evidence(t.clear.keeps[:], keepStakes[:], mean) >= needs
	beside := t.samples.canary.total > 0 && t.samples.baseline.total > 0
	no(&v.Breaks, evidence(t.breaks.keeps[:], keepStakes[:], mean) >= needs)
	no(&v.Compares, beside && (clear || evidence(t.compares.fine[:], fineStakes[:], mean) >= needs))
	no(&v.Burns, t.samples.canary.total > 0 && math.IsInf(t.log.burns, -1))
}

func (t *tracker) outcome(v Verdict) Outcome {
	switch {
	case t.decided != nil:
		return Worse
	case t.lacks() != "":
		return NoEvidence
	case t.span < t.o.Window:
		return Undecided
	case t.alone && v.Breaks.Outcome == NotWorse, !t.alone && v.Compares.Outcome == NotWorse:
		return NotWorse
	default:
		return Undecided
	}
}

// lacks says which samples are missing; empty when none are. A source that fell
// silent is missing all of them: what it said before is no evidence of now.
func (t *tracker) lacks() string {
	if t.quiet > quietAfter {
		s := fmt.Sprintf("nothing was read in the last %d intervals", t.quiet)
		switch {
		case t.samples.canary.total > 0:
		case t.samples.baseline.total > 0: // intervals from before the rollout would be counted
			s = "nothing was read of the new revision yet"
		default:
			s = "nothing was read yet"
		}
		if t.why != "" {
			s += ": " + t.why
		}
		return s
	}
	var out []string
	short := func(what string, have float64) {
		if have < t.o.MinSamples || have == 0 {
			out = append(out, fmt.Sprintf("%s of %s %s of the %s", number(have), number(t.o.MinSamples), t.unit(), what))
		}
	}
	short("new revision", t.samples.canary.total)
	if !t.alone {
		short("baseline", t.samples.baseline.total)
	}
	if len(out) == 0 {
		return ""
	}
	s := "there are " + strings.Join(out, " and ")
	if t.why != "" {
		s += ": " + t.why
	}
	return s
}

func (t *tracker) unit() string {
	if t.o.Kind == Threshold {
		return "values"
	}
	return "requests"
}

// sentence explains a verdict with what decided it.
func (t *tracker) sentence(v Verdict) string {
	s := t.seenWords(v) + "; " + v.Outcome.words() + t.because(v)
	if v.Errored > 0 {
		s += fmt.Sprintf("; the source could not be asked in %d of %d intervals", v.Errored, v.Errored+v.Intervals)
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func (t *tracker) seenWords(v Verdict) string {
	what := map[Kind]string{Ratio: "error rate", Quantile: "beyond the bound", Threshold: "out of bounds"}[t.o.Kind]
	unit := " requests"
	if t.o.Kind == Threshold {
		unit = " moments"
	}
	if t.samples.canary.total == 0 && !t.alone && v.Before.Total > 0 { // nothing is beside it, and all is before
		return fmt.Sprintf("%s %s of %s%s of the old revision, and nothing of the new one", what, percent(v.Before), number(v.Before.Total), unit)
	}
	s := fmt.Sprintf("%s %s of %s%s", what, percent(v.Canary), number(v.Canary.Total), unit)
	if !t.alone {
		s += fmt.Sprintf(" beside %s of %s", percent(v.Baseline), number(v.Baseline.Total))
	}
	if (!t.alone || t.after != nil) && v.Before.Total > 0 {
		s += fmt.Sprintf(", and %s of %s before", percent(v.Before), number(v.Before.Total))
	}
	return s
}

func (t *tracker) because(v Verdict) string {
	weighed := func(a Answer) string {
		if v.Outcome == Worse { // evidence of N comes by chance at most once in N times, however often one looks
			return ": chance alone does this at most once in " + times(max(a.E, a.Needs)) + " times"
		}
		return fmt.Sprintf(": this may be chance (evidence %s, and it takes %s)", number(a.E), number(a.Needs))
	}
	switch v.Outcome {
	case Worse:
		switch {
		case v.Compares.Outcome == Worse && t.o.Ranks:
			return weighed(v.Compares) + fmt.Sprintf(", ranks higher in %.0f %%", 100*t.gauge.ranked.Effect)
		case v.Compares.Outcome == Worse:
			return weighed(v.Compares)
		case v.Shifts.Outcome == Worse:
			p := t.shifts.comparison.seen
			return weighed(v.Shifts) + fmt.Sprintf(", %s beyond %s beside %s", percent(Count{p.canary.bad, p.canary.total}),
				strconv.FormatFloat(t.shifts.cut, 'g', 4, 64), percent(Count{p.baseline.bad, p.baseline.total}))
		case v.Breaks.Outcome == Worse && t.after != nil && t.after.bound > t.o.budget():
			return weighed(v.Breaks) + fmt.Sprintf(", %s may be, and %s after what was before", percent(Count{t.o.budget(), 1}), percent(Count{t.after.bound, 1}))
		case v.Breaks.Outcome == Worse:
			return weighed(v.Breaks) + fmt.Sprintf(", %s may be", percent(Count{t.o.budget(), 1}))
		default:
			return weighed(v.Burns) + ", the error budget burns too fast"
		}
	case NoEvidence:
		return ", " + t.lacks()
	case NotWorse:
		if beside := t.beside(); !t.alone && beside.rate() > t.o.budget() {
			return fmt.Sprintf(", although %s may be and neither keeps to it", percent(Count{t.o.budget(), 1}))
		}
		return ", harm is ruled out"
	default:
		if t.span < t.o.Window {
			return fmt.Sprintf(", seen for %s of %s", t.span, t.o.Window)
		}
		if t.alone {
			return weighed(v.Breaks)
		}
		return weighed(v.Compares)
	}
}

func percent(c Count) string {
	if c.Total <= 0 {
		return "0 %"
	}
	p := 100 * c.Bad / c.Total
	if p != 0 && p < 0.1 {
		return strconv.FormatFloat(p, 'g', 2, 64) + " %"
	}
	return strconv.FormatFloat(math.Round(10*p)/10, 'f', -1, 64) + " %"
}

// times is a number of times: what is beyond belief is as rare as a billion.
func times(v float64) string {
	if v >= 1e9 {
		return "a billion"
	}
	return number(v)
}

// number writes a number for people: whole, with commas, and not longer than
// they read.
func number(v float64) string {
	switch {
	case v >= 1e9:
		return "over 1,000,000,000"
	case v < 10 && v != math.Trunc(v):
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
