package deploy

import (
	"fmt"
	"slices"
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
	moments   = 10
	maxRead   = 1e12   // of a count: what the analysis takes
	maxValues = 10_000 // of a threshold in one interval: likewise
)

// Evidence is what the analysis is given of a rollout: its objectives, and what
// was counted and measured between each two counts. What was measured belongs
// to the interval in which the server learnt of it, so that intervals that were
// judged never change. Of a new revision that has copies only, these are what is
// counted; of one that has users, copies never are, nor is what was measured before. Of the time before the rollout
// it is only told how the old revision did, and so of the time before the switch of
// one that is judged with all of the traffic.
func Evidence(r *towpath.Rollout, counts []towpath.TrafficCount, measurements []towpath.Measurement) analysis.Input {
	in := analysis.Input{After: r.JudgedAfter()}
	read := map[string][]reading{}
	for _, o := range r.Canary.Objectives {
		if !o.Judges() {
			continue
		}
		in.Objectives = append(in.Objectives, objective(o))
		if o.Asks() {
			read[o.Name] = onlyForUsers(readings(o, measurements), r, counts)
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
			case !o.Judges():
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
					iv.Readings[o.Name] = taken(got)
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

// taken is what the analysis takes of a reading: what it can't would be in the way of
// all other objectives, too, for the rest of the rollout. An interval is long, and has
// many measurements, when the agent was away: of sampled values the last ones count.
func taken(r analysis.Reading) analysis.Reading {
	for _, s := range []**analysis.Sample{&r.Canary, &r.Baseline} {
		if *s == nil {
			continue
		}
		x := **s
		x.Values = x.Values[max(0, len(x.Values)-maxValues):]
		counts := []float64{x.Total, x.Bad}
		if x.Histogram != nil {
			counts = append(counts, x.Histogram.Counts...)
		}
		if slices.Max(counts) > maxRead {
			return analysis.Reading{Errored: fmt.Sprintf("its queries count more than %v in one interval", float64(maxRead))}
		}
		*s = &x
	}
	return r
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
