package deploy

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	// maxWindow is the longest window that is heeded. Releases from before windows
	// were have 30 days.
	maxWindow = 7 * 24 * time.Hour
	// moments is how many values a threshold takes before anything but worse is
	// said, unless told otherwise.
	moments = 10
	maxRead = 1e12 // of a count: what the analysis takes
)

// Evidence is what the analysis is given of a rollout: its objectives, and what
// was counted and measured between each two counts. What was measured belongs
// to the interval in which the server learnt of it, so that intervals that were
// judged never change. Of a new revision that has copies only, these are what is
// counted; of one that has users, copies never are. Of the time before the rollout
// it is only told how the old revision did, and so of the time before the switch of
// one that is judged with all of the traffic.
func Evidence(r *towpath.Rollout, counts []towpath.TrafficCount, measurements []towpath.Measurement) analysis.Input {
	in := analysis.Input{After: r.JudgedAfter()}
	read := map[string][]reading{}
	users := forUsers(r, counts)
	for _, o := range r.Canary.Objectives {
		if !judged(o) {
			continue
		}
		in.Objectives = append(in.Objectives, objective(o))
		if o.Asks() {
			read[o.Name] = onlyForUsers(readings(o, measurements), users)
		}
	}
	var ahead time.Duration // that the clock of the place was at first
	for i := 1; i < len(counts); i++ {
		from, to := counts[i-1], counts[i]
		if !to.At.After(from.At) { // another clock: it begins anew where that one was
			ahead += from.At.Sub(to.At)
			continue
		}
		iv := analysis.Interval{Start: from.At.Add(ahead), End: to.At.Add(ahead), Readings: map[string]analysis.Reading{}}
		for _, o := range r.Canary.Objectives {
			switch {
			case !judged(o):
			case to.Before:
				// One that comes back was not counted meanwhile.
				if _, known := revision(from, r.From); known && !o.Asks() {
					iv.Readings[o.Name] = analysis.Reading{Baseline: between(o, from, to, r.From)}
				}
			case !o.Asks():
				iv.Readings[o.Name] = routed(r, o, from, to)
			default:
				rest := read[o.Name]
				end := slices.IndexFunc(rest, func(x reading) bool { return x.recorded.After(to.Received) })
				if end < 0 {
					end = len(rest)
				}
				if got, ok := together(rest[:end]); ok {
					iv.Readings[o.Name] = got
				}
				read[o.Name] = rest[end:]
			}
		}
		if in.After {
			switchedOver(iv, r, to)
		}
		in.Intervals = append(in.Intervals, iv)
	}
	return in
}

// switchedOver leaves of an interval what the revision did that had all of the
// traffic at its end: what the other one did by itself says nothing of users. What
// had to end for the new one failed all of its requests then, which excuses nothing.
func switchedOver(iv analysis.Interval, r *towpath.Rollout, to towpath.TrafficCount) {
	now, _ := revision(to, r.To)
	for name, x := range iv.Readings {
		if now.Weight > 0 && !to.Before { // of one alone it is no percentage
			x.Baseline = nil
		} else {
			x.Canary = nil
		}
		if r.StopsFirst() && !to.Before {
			x.Baseline = nil
		}
		iv.Readings[name] = x
	}
}

// judged reports whether anything is judged by an objective.
func judged(o towpath.Objective) bool {
	return o.Kind != towpath.ObjectiveQuery && o.Kind != towpath.ObjectiveMeasure
}

// objective is an objective as the analysis knows it.
func objective(o towpath.Objective) analysis.Objective {
	x := analysis.Objective{
		Name: o.Name, Kind: analysis.Ratio, Target: o.Target, Critical: o.Critical, MinSamples: float64(o.MinSamples),
		Weight: 1, Alone: o.Asks() && !o.Compares(), Tolerance: o.Tolerance,
	}
	if o.Weight > 0 {
		x.Weight = o.Weight
	}
	if o.Window <= maxWindow {
		x.Window = o.Window
	}
	switch o.Kind {
	case towpath.ObjectiveLatency:
		x.Kind, x.Bound = analysis.Quantile, o.Bound.Seconds()
	case towpath.ObjectiveQuantile:
		x.Kind, x.Bound = analysis.Quantile, *o.Below
	case towpath.ObjectiveThreshold:
		x.Kind, x.Ranks = analysis.Threshold, o.Ranks
		if x.MinSamples == 0 {
			x.MinSamples = moments
		}
		if o.Above != nil {
			x.Bound, x.Least = *o.Above, true
		} else {
			x.Bound = *o.Below
		}
	}
	return x
}

// reading is what one measurement says of an objective.
type reading struct {
	analysis.Reading
	began, recorded time.Time // began: when it was read before, which counters count from
}

// readings makes counts of what was measured of an objective. Counters count
// from the last time that they could be read, so that a source that was away
// loses nothing.
func readings(o towpath.Objective, measurements []towpath.Measurement) []reading {
	var out []reading
	var last *towpath.ObjectiveReading
	var began time.Time
	for _, m := range measurements {
		i := slices.IndexFunc(m.Readings, func(x towpath.ObjectiveReading) bool { return x.Objective == o.Name })
		if i < 0 {
			continue
		}
		x := reading{began: began, recorded: m.Recorded}
		now := &m.Readings[i]
		if x.Errored = cmp.Or(now.Errored, unanswered(o, now)); x.Errored != "" {
			out = append(out, x)
			continue
		}
		var was towpath.ObjectiveReading
		if last != nil {
			was = *last
		}
		var why [2]string
		x.Canary, why[0] = sample(o, was.Canary, now.Canary)
		x.Baseline, why[1] = sample(o, was.Baseline, now.Baseline)
		if x.Errored = why[0]; x.Errored == "" {
			x.Errored = why[1]
		}
		last, began = now, m.Recorded
		out = append(out, x)
	}
	return out
}

// unanswered is why nothing is known of what an experiment measures, although its
// source was asked; empty: it answered. Counters count on once it does again.
func unanswered(o towpath.Objective, now *towpath.ObjectiveReading) string {
	if o.Kind != towpath.ObjectiveMeasure {
		return ""
	}
	var of []string
	if len(now.Canary[towpath.QueryValues]) == 0 {
		of = append(of, "the new release")
	}
	if len(now.Baseline[towpath.QueryValues]) == 0 {
		of = append(of, "the old one")
	}
	if len(of) == 0 {
		return ""
	}
	return fmt.Sprintf("the query of %q answered nothing about %s", o.Name, strings.Join(of, " and "))
}

// sample is what was counted of a revision between two answers, nil when there
// is nothing of it, or why it can't be.
func sample(o towpath.Objective, was, now map[string][]towpath.MetricValue) (*analysis.Sample, string) {
	switch o.Kind {
	case towpath.ObjectiveRatio:
		part, total := o.Queries()[0], o.Queries()[1]
		all, ok := counted(total, was[towpath.QueryTotal], now[towpath.QueryTotal], true)
		some, _ := counted(part, was[part.Name], now[part.Name], false)
		switch {
		case !ok:
			return nil, ""
		case !(all >= 0 && all <= maxRead && some >= 0 && some <= maxRead):
			return nil, fmt.Sprintf("its queries count %v of %v, which are no counts", some, all)
		case part.Name == towpath.QueryGood:
			some = max(0, all-some)
		}
		return &analysis.Sample{Total: all, Bad: some}, ""
	case towpath.ObjectiveQuantile:
		return histogram(o, was[towpath.QueryValues], now[towpath.QueryValues])
	case towpath.ObjectiveMeasure:
		sum, ok := counted(o.Queries()[0], was[towpath.QueryValues], now[towpath.QueryValues], true)
		switch {
		case !ok:
			return nil, ""
		case !(math.Abs(sum) <= maxRead):
			return nil, fmt.Sprintf("its query counts %v, which is no count", sum)
		}
		return &analysis.Sample{Total: sum}, ""
	default:
		var values []float64
		for _, v := range now[towpath.QueryValues] {
			values = append(values, v.Value)
		}
		if len(values) == 0 {
			return nil, ""
		}
		return &analysis.Sample{Values: values}, ""
	}
}

// counted is the sum of what was counted between two answers. A counter that is
// lower than before began anew, as did a series that was not there; but where a
// revision had none at all, counting begins with what is there now.
func counted(q towpath.NamedQuery, was, now []towpath.MetricValue, begins bool) (sum float64, ok bool) {
	if len(now) == 0 || begins && towpath.Counters(q.Text) && len(was) == 0 {
		return 0, false
	}
	for _, n := range now {
		sum += since(q, was, n)
	}
	return sum, true
}

func since(q towpath.NamedQuery, was []towpath.MetricValue, now towpath.MetricValue) float64 {
	if !towpath.Counters(q.Text) {
		return now.Value
	}
	i := slices.IndexFunc(was, func(w towpath.MetricValue) bool { return w.Series == now.Series && w.LE == now.LE })
	if i >= 0 && was[i].Value <= now.Value {
		return now.Value - was[i].Value
	}
	return now.Value
}

// histogram sums the buckets of all series up, and makes each hold only what is
// not in those below it.
func histogram(o towpath.Objective, was, now []towpath.MetricValue) (*analysis.Sample, string) {
	q := o.Queries()[0]
	if _, ok := counted(q, was, now, true); !ok {
		return nil, ""
	}
	within := map[float64]float64{}
	for _, n := range now {
		le, err := strconv.ParseFloat(n.LE, 64)
		if err != nil || math.IsNaN(le) {
			return nil, fmt.Sprintf("its query answers a bucket up to %q, which is no number", n.LE)
		}
		within[le] += since(q, was, n)
	}
	h := &analysis.Histogram{}
	for le := range within {
		if !math.IsInf(le, 1) {
			h.Bounds = append(h.Bounds, le)
		}
	}
	slices.Sort(h.Bounds)
	all, ok := within[math.Inf(1)]
	switch {
	case !ok:
		return nil, "its query answers no bucket le=\"+Inf\", so nobody can tell how many there are"
	case len(h.Bounds) == 0 || h.Bounds[len(h.Bounds)-1] < *o.Below:
		return nil, fmt.Sprintf("its greatest bucket begins below %v, so nobody can tell what is beyond that", *o.Below)
	}
	below := 0.0
	for _, le := range h.Bounds {
		h.Counts = append(h.Counts, max(0, within[le]-below))
		below = max(below, within[le])
	}
	h.Counts = append(h.Counts, max(0, all-below))
	if slices.Max(h.Counts) > maxRead || slices.ContainsFunc(h.Counts, math.IsNaN) {
		return nil, "its buckets hold no counts"
	}
	return &analysis.Sample{Histogram: h}, ""
}

// together is what several measurements in one interval say; false when there is
// none. What could be read counts.
func together(all []reading) (analysis.Reading, bool) {
	var out analysis.Reading
	good := false
	for _, x := range all {
		switch {
		case x.Errored != "" && !good:
			out = analysis.Reading{Errored: x.Errored}
		case x.Errored == "" && !good:
			out, good = x.Reading, true
		case x.Errored == "":
			out.Canary, out.Baseline = add(out.Canary, x.Canary), add(out.Baseline, x.Baseline)
		}
	}
	return out, len(all) > 0
}

func add(a, b *analysis.Sample) *analysis.Sample {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	sum := analysis.Sample{Total: a.Total + b.Total, Bad: a.Bad + b.Bad, Values: slices.Concat(a.Values, b.Values), Histogram: b.Histogram}
	if a.Histogram != nil && b.Histogram != nil && slices.Equal(a.Histogram.Bounds, b.Histogram.Bounds) {
		h := analysis.Histogram{Bounds: a.Histogram.Bounds}
		for i, n := range a.Histogram.Counts {
			h.Counts = append(h.Counts, n+b.Histogram.Counts[i])
		}
		sum.Histogram = &h
	}
	return &sum
}
