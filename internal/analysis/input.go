package analysis

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// What an input may hold at most, so that judging is bounded.
const (
	maxObjectives = 2 * towpath.MaxObjectives // those of what runs, and of what takes its place
	maxIntervals  = 50_000
	maxValues     = 10_000 // of one sample
	maxBuckets    = 1_000
	maxCount      = 1e12 // of one sample
)

// Risk is the risk of calling a revision worse that is not, where an input does
// not say.
const Risk = 0.01

// Input is everything that is judged.
type Input struct {
	// Alpha is the risk of calling a revision worse that is not, over all
	// objectives and however often it is looked at; [Risk] when it is 0.
	Alpha      float64     `json:"alpha,omitempty"`
	Objectives []Objective `json:"objectives"`
	// Alone says that there is no baseline to run beside: a first release.
	Alone bool `json:"alone,omitempty"`
	// After says that the new revision has all of the traffic, so that all that is
	// known of the baseline is from before. It is judged by what it has to keep to.
	After bool `json:"after,omitempty"`
	// Intervals are in the order of time and do not overlap, which windows of
	// `increase()` longer than their step would. Those from before the new
	// revision had requests teach how the baseline scatters, and make the first
	// seconds of the comparison sharper.
	Intervals []Interval `json:"intervals"`
}

// Interval is a time span, the end not included, with what was read for each
// objective by its name. An objective that is missing was not read.
type Interval struct {
	Start    time.Time          `json:"start"`
	End      time.Time          `json:"end"`
	Readings map[string]Reading `json:"readings"`
}

// Reading is what a source said of both revisions in one interval.
type Reading struct {
	// Errored is why the source could not be asked, as a sentence without its
	// full stop. Such a reading adds nothing, for or against the revision.
	Errored  string  `json:"errored,omitempty"`
	Canary   *Sample `json:"canary,omitempty"` // nil: the source has no such series
	Baseline *Sample `json:"baseline,omitempty"`
}

// Sample is what was seen of one revision. Which field counts depends on the
// objective's kind. Counts may be fractions.
type Sample struct {
	// Total and Bad count requests of a ratio. Bad is total less good.
	Total float64 `json:"total,omitempty"`
	Bad   float64 `json:"bad,omitempty"`
	// Histogram counts the requests of a quantile.
	Histogram *Histogram `json:"histogram,omitempty"`
	// Values are what was sampled of a threshold.
	Values []float64 `json:"values,omitempty"`
}

// Histogram counts requests in buckets. Bounds are the upper bounds, ascending,
// of all buckets but the last, which has none; so there is one count more.
type Histogram struct {
	Bounds []float64 `json:"bounds"`
	Counts []float64 `json:"counts"`
}

// beyond counts all requests, and those above a value as Prometheus does:
// evenly spread within their bucket. The first bucket begins at 0.
func (h Histogram) beyond(value float64) count {
	var c count
	lower := 0.0
	for i, n := range h.Counts {
		c.total += n
		switch {
		case i == len(h.Bounds):
			c.bad += n
		case value <= lower && i > 0:
			c.bad += n
		case value < h.Bounds[i] && h.Bounds[i] > lower:
			c.bad += n * math.Min(1, (h.Bounds[i]-value)/(h.Bounds[i]-lower))
		}
		if i < len(h.Bounds) {
			lower = h.Bounds[i]
		}
	}
	return c
}

// Beyond counts the requests above a value, and all of them.
func (h Histogram) Beyond(value float64) (beyond, total float64) {
	c := h.beyond(value).whole()
	return c.bad, c.total
}

func (in Input) withDefaults() Input {
	if in.Alpha == 0 {
		in.Alpha = Risk
	}
	objectives := make([]Objective, len(in.Objectives))
	for i, o := range in.Objectives {
		objectives[i] = o.withDefaults()
	}
	in.Objectives = objectives
	return in
}

// Validate reports all that is wrong with an input.
func (in Input) Validate() error {
	problems := in.withDefaults().problems()
	if len(problems) == 0 {
		return nil
	}
	const shown = 10
	more := ""
	if n := len(problems); n > shown {
		problems, more = problems[:shown], fmt.Sprintf("; and %d more", n-shown)
	}
	return towpath.E(towpath.KindInvalid, "analysis.validate", "the samples can't be judged: %s%s", strings.Join(problems, "; "), more).
		WithHint("correct the objectives in towpath.yaml, or the queries that give the samples")
}

func (in Input) problems() []string {
	var out []string
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	wrong(!(in.Alpha >= 1e-9 && in.Alpha <= 0.2), "alpha is %v, and has to be between 0.000000001 and 0.2", in.Alpha)
	wrong(len(in.Objectives) == 0, "there is no objective")
	wrong(len(in.Objectives) > maxObjectives, "there are %d objectives; %d are the most", len(in.Objectives), maxObjectives)
	wrong(len(in.Intervals) > maxIntervals, "there are %d intervals; %d are the most", len(in.Intervals), maxIntervals)
	if len(out) > 0 {
		return out
	}
	known := map[string]Objective{}
	for _, o := range in.Objectives {
		_, twice := known[o.Name]
		wrong(twice, "two objectives are named %q", o.Name)
		known[o.Name] = o
		out = append(out, o.problems()...)
	}
	for i, iv := range in.Intervals {
		wrong(!iv.End.After(iv.Start), "interval %d ends before it starts", i+1)
		wrong(i > 0 && iv.Start.Before(in.Intervals[i-1].End), "interval %d overlaps the one before it", i+1)
		for _, o := range in.Objectives { // in a fixed order, and only what is judged
			r := iv.Readings[o.Name]
			out = append(out, r.Canary.problems(o, i, "canary")...)
			out = append(out, r.Baseline.problems(o, i, "baseline")...)
		}
	}
	return out
}

func (s *Sample) problems(o Objective, interval int, revision string) []string {
	var out []string
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf("interval %d, %s of %q: ", interval+1, revision, o.Name)+fmt.Sprintf(format, args...))
		}
	}
	if s == nil {
		return nil
	}
	isCount := func(v float64) bool { return v >= 0 && v <= maxCount }
	wrong(!isCount(s.Total) || !isCount(s.Bad), "counts are from 0 to %v", maxCount)
	wrong(len(s.Values) > maxValues, "%d values; %d are the most", len(s.Values), maxValues)
	for _, v := range s.Values {
		if !finite(v) {
			wrong(true, "a value is no number")
			break
		}
	}
	h := s.Histogram
	if h == nil {
		return out
	}
	wrong(len(h.Counts) != len(h.Bounds)+1, "%d counts do not fit %d bounds, which need one more", len(h.Counts), len(h.Bounds))
	wrong(len(h.Counts) > maxBuckets, "%d buckets; %d are the most", len(h.Counts), maxBuckets)
	for i, b := range h.Bounds {
		wrong(!finite(b) || i > 0 && b <= h.Bounds[i-1], "its bounds do not ascend")
	}
	for _, n := range h.Counts {
		wrong(!isCount(n), "counts are from 0 to %v", maxCount)
	}
	wrong(o.Kind == Quantile && (len(h.Bounds) == 0 || h.Bounds[len(h.Bounds)-1] < o.Bound),
		"its greatest bucket begins below the bound %v, so nobody can tell what is beyond it", o.Bound)
	return out
}
