package experiment

import (
	"math"
	"time"
)

const (
	mostSpans = 60 // that an experiment is cut into
	// leastSpans is how many it takes until anything is said: with fewer nobody
	// knows how they scatter.
	leastSpans = 20
	// leastOver is how many requests (values) of each release it takes.
	leastOver = 50
	lags      = 3
	// horizon is the product of spans and the mixture's variance at the planned
	// end, at which the interval is about as narrow as it can be there.
	horizon = 8
)

// Outcome is what is said of a metric.
type Outcome string

// The outcomes of a metric. That no difference was found does not say that
// there is none: the interval says how great one could be.
const (
	NewBetter    Outcome = "new-better"
	OldBetter    Outcome = "old-better"
	NoDifference Outcome = "no-difference"
	NoEvidence   Outcome = "no-evidence"
)

// Report says which release is better on what.
type Report struct {
	Old      string    `json:"old"`
	New      string    `json:"new"`
	Sentence string    `json:"sentence"`
	Findings []Finding `json:"findings"`
	// Level is the certainty of all intervals together.
	Level float64 `json:"level"`
	// Seen is from the first interval to the last, nanoseconds; Over that this is
	// as long as planned.
	Seen time.Duration `json:"seen"`
	Over bool          `json:"over"`
	// Caveats are what the numbers don't say, as sentences.
	Caveats []string `json:"caveats,omitempty"`
}

// Finding is what is said of one metric, in the unit and over as many things as
// it is shown.
type Finding struct {
	Metric  string  `json:"metric"`
	Outcome Outcome `json:"outcome"`
	Old     float64 `json:"old"`
	New     float64 `json:"new"`
	// Difference is the new value less the old one; it lies between From and To,
	// which are there unless there is no evidence.
	Difference float64  `json:"difference"`
	From       *float64 `json:"from,omitempty"`
	To         *float64 `json:"to,omitempty"`
	// Certainty is the greatest level at which it would still be found, over all
	// metrics together; 0 when it would be at none.
	Certainty float64 `json:"certainty"`
	OverOld   float64 `json:"overOld"` // requests (values) seen
	OverNew   float64 `json:"overNew"`
	Spans     int     `json:"spans"`
	Sentence  string  `json:"sentence"`
}

// Judge makes the report of what was seen.
func Judge(e Evidence) (Report, error) {
	if e.Lost != "" {
		e = e.withDefaults()
		return Report{Old: e.Old, New: e.New, Level: 1 - e.Alpha, Findings: []Finding{}, Sentence: sentence(e.Lost)}, nil
	}
	if err := e.Validate(); err != nil {
		return Report{}, err
	}
	e = e.withDefaults()
	out := Report{Old: e.Old, New: e.New, Level: 1 - e.Alpha, Findings: []Finding{}}
	if n := len(e.Intervals); n > 0 {
		out.Seen = e.Intervals[n-1].End.Sub(e.Intervals[0].Start)
		// What came before the first count and after the last one was not seen.
		out.Over = out.Seen >= e.For-2*max(e.For/mostSpans, time.Second)
	}
	for _, m := range e.Metrics {
		out.Findings = append(out.Findings, find(e, m))
	}
	out.Sentence, out.Caveats = out.sentence(), caveats(e, out)
	return out, nil
}

// Settled reports whether the new release is better on something and worse on
// nothing.
func (r Report) Settled() bool {
	better := false
	for _, f := range r.Findings {
		if f.Outcome == OldBetter {
			return false
		}
		better = better || f.Outcome == NewBetter
	}
	return better
}

// pair is what was seen of both releases in a span.
type pair struct{ old, new Sample }

func find(e Evidence, m Metric) Finding {
	spans, planned := cut(e, m.Name)
	var all pair
	for _, s := range spans {
		all.old, all.new = all.old.plus(s.old), all.new.plus(s.new)
	}
	f := Finding{
		Metric: m.Name, Outcome: NoEvidence, Spans: len(spans), OverOld: all.old.Over, OverNew: all.new.Over,
		Old: all.old.ratio() * m.Scale, New: all.new.ratio() * m.Scale,
	}
	f.Difference = f.New - f.Old
	risk := e.Alpha / float64(len(e.Metrics))
	t, c := float64(len(spans)), horizon*float64(len(spans))/float64(planned)
	z2 := bound(c, risk)
	least := float64(leastOver)
	if !m.Share && all.old.Over == t { // a value per span at most: nobody counts requests
		least = leastSpans
	}
	if len(spans) < leastSpans || t <= z2 || all.old.Over < least || all.new.Over < least {
		f.Sentence = f.missing(e, m, takes(planned, risk), least)
		return f
	}
	v := variance(spans, all, m.Share) * m.Scale * m.Scale // of a span
	d := f.Difference
	half := math.Sqrt(z2 * v / (t - z2))
	from, to := d-half, d+half
	f.From, f.To = &from, &to
	if d != 0 {
		f.Certainty = math.Max(0, 1-float64(len(e.Metrics))*math.Exp(-evidence(t*d*d/(v+d*d), c)))
	}
	switch {
	case from <= 0 && to >= 0:
		f.Outcome = NoDifference
	case d < 0 == (m.Better == Less):
		f.Outcome = NewBetter
	default:
		f.Outcome = OldBetter
	}
	f.Sentence = f.found(e, m)
	return f
}

// takes is the least number of spans at which anything is said.
func takes(planned int, risk float64) int {
	t := leastSpans
	for float64(t) <= bound(horizon*float64(t)/float64(planned), risk) {
		t++
	}
	return t
}

// cut makes spans of the intervals in which both releases, or one of them, had
// anything; planned is how many there would be at the planned end.
func cut(e Evidence, name string) (spans []pair, planned int) {
	if len(e.Intervals) == 0 {
		return nil, mostSpans
	}
	begin := e.Intervals[0].Start
	// Intervals are no shorter than the spans, if there are few of them.
	typical := e.Intervals[len(e.Intervals)-1].End.Sub(begin) / time.Duration(len(e.Intervals))
	length := max(e.For/mostSpans, typical, 1)
	planned = max(int(e.For/length), leastSpans)
	last := time.Duration(-1)
	for _, iv := range e.Intervals {
		r, ok := iv.Readings[name]
		if !ok || r.Errored != "" || r.Old.Over+r.New.Over == 0 {
			continue
		}
		if at := iv.Start.Sub(begin) / length; at != last {
			last = at
			spans = append(spans, pair{})
		}
		s := &spans[len(spans)-1]
		s.old, s.new = s.old.plus(r.Old), s.new.plus(r.New)
	}
	return spans, planned
}

// variance is by how much the difference of a span scatters, squared.
func variance(spans []pair, all pair, share bool) float64 {
	t := float64(len(spans))
	off := make([]float64, len(spans))
	for i, s := range spans {
		off[i] = t * ((s.new.Sum-all.new.ratio()*s.new.Over)/all.new.Over - (s.old.Sum-all.old.ratio()*s.old.Over)/all.old.Over)
	}
	v := 0.0
	for _, x := range off {
		v += x * x
	}
	v /= t - 1
	v = math.Max(v, persistent(off, v))
	if share {
		v = math.Max(v, t*(independent(all.old)+independent(all.new)))
	}
	return v
}

// persistent is the variance of spans that are like those before them: that of
// Newey and West, or of an autoregression of the first order, which the former
// underestimates where waves are long.
func persistent(off []float64, v float64) float64 {
	if v == 0 {
		return 0
	}
	long, first := v, 0.0
	for k := 1; k <= lags; k++ {
		sum := 0.0
		for i := k; i < len(off); i++ {
			sum += off[i] * off[i-k]
		}
		sum /= float64(len(off) - 1)
		long += 2 * (1 - float64(k)/(lags+1)) * sum
		if k == 1 {
			first = min(sum/v, 0.9)
		}
	}
	return math.Max(long, v*(1+first)/(1-first))
}

// independent is the variance of a share among independent things.
func independent(s Sample) float64 {
	p := (s.Sum + 1) / (s.Over + 2)
	return p * (1 - p) / s.Over
}

// evidence is the logarithm of what the mixture has made of 1 when the squared
// score is z2.
func evidence(z2, c float64) float64 { return z2*c/(2*(c+1)) - math.Log1p(c)/2 }

// bound is the squared score at which the evidence is one over the risk.
func bound(c, risk float64) float64 {
	return 2 * (c + 1) / c * (math.Log1p(c)/2 - math.Log(risk))
}
