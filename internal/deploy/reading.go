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

// reading is what one measurement says of an objective.
type reading struct {
	analysis.Reading
	began, recorded time.Time // began: when what it counts from was read
}

// readings makes counts of what was measured of an objective. Counters count
// from the last time that they could be read, so that a source that was away
// loses nothing.
func readings(o towpath.Objective, measurements []towpath.Measurement) []reading {
	var out []reading
	canary, baseline := known{}, known{}
	var last time.Time
	for _, m := range measurements {
		i := slices.IndexFunc(m.Readings, func(x towpath.ObjectiveReading) bool { return x.Objective == o.Name })
		if i < 0 {
			continue
		}
		x := reading{began: last, recorded: m.Recorded}
		now := &m.Readings[i]
		if x.Errored = cmp.Or(now.Errored, unanswered(o, now)); x.Errored == "" {
			one, other := canary.take(o, now.Canary, m.Recorded), baseline.take(o, now.Baseline, m.Recorded)
			var why [2]string
			x.Canary, why[0] = sample(o, one)
			x.Baseline, why[1] = sample(o, other)
			x.Errored = cmp.Or(why[0], why[1])
			if !one.since.IsZero() && one.since.Before(last) {
				x.began = one.since
			}
			last = m.Recorded
		}
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

// sample is what was counted of a revision since it was asked before, nil when
// there is nothing of it, or why it can't be.
func sample(o towpath.Objective, g growth) (*analysis.Sample, string) {
	if g.unsure || !g.begun {
		return nil, ""
	}
	switch o.Kind {
	case towpath.ObjectiveRatio:
		part := o.Queries()[0].Name
		all, some := sum(g.values[towpath.QueryTotal]), sum(g.values[part])
		switch {
		case !(all >= 0 && all <= maxRead && some >= 0 && some <= maxRead):
			return nil, fmt.Sprintf("its queries count %v of %v, which are no counts", some, all)
		case part == towpath.QueryGood:
			some = max(0, all-some)
		}
		return &analysis.Sample{Total: all, Bad: some}, ""
	case towpath.ObjectiveQuantile:
		return histogram(o, g.values[towpath.QueryValues])
	case towpath.ObjectiveMeasure:
		all := sum(g.values[towpath.QueryValues])
		if !(math.Abs(all) <= maxRead) {
			return nil, fmt.Sprintf("its query counts %v, which is no count", all)
		}
		return &analysis.Sample{Total: all}, ""
	default:
		var values []float64
		for _, v := range g.values[towpath.QueryValues] {
			values = append(values, v.Value)
		}
		return &analysis.Sample{Values: values}, ""
	}
}

func sum(values []towpath.MetricValue) (all float64) {
	for _, v := range values {
		all += v.Value
	}
	return all
}

// histogram sums the buckets of all series up, and makes each hold only what is
// not in those below it.
func histogram(o towpath.Objective, grown []towpath.MetricValue) (*analysis.Sample, string) {
	within := map[float64]float64{}
	for _, n := range grown {
		le, err := strconv.ParseFloat(n.LE, 64)
		if err != nil || math.IsNaN(le) {
			return nil, fmt.Sprintf("its query answers a bucket up to %q, which is no number", n.LE)
		}
		within[le] += n.Value
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
