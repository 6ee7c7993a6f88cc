package experiment

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// What evidence may hold at most, so that judging is bounded.
const (
	maxMetrics   = 50
	maxIntervals = 50_000
	maxSum       = 1e15
)

// Evidence is all that a report is made of.
type Evidence struct {
	// Old and New are the releases by their versions.
	Old string `json:"old"`
	New string `json:"new"`
	// Alpha is the risk of finding a difference where there is none, over all
	// metrics and however often it is looked at; 0.05 when it is 0.
	Alpha float64 `json:"alpha,omitempty"`
	// Share is the part of the traffic that the new one was given, in percent.
	Share int `json:"share"`
	// For is how long it was to take, nanoseconds.
	For time.Duration `json:"for"`
	// Chosen is that some requests went to the new one because of what they are,
	// and Sticky that clients stayed with the one that they had.
	Chosen  bool     `json:"chosen,omitempty"`
	Sticky  bool     `json:"sticky,omitempty"`
	Metrics []Metric `json:"metrics"`
	// Intervals are in the order of time and do not overlap.
	Intervals []Interval `json:"intervals"`
	// Lost is why nothing is left of it, as a sentence without its full stop. There is
	// no more to a report then.
	Lost string `json:"lost,omitempty"`
}

// Metric is something that both releases are compared by.
type Metric struct {
	Name   string `json:"name"`
	Better Better `json:"better"`
	// Share is that the sum counts some of the things it is over: it is never
	// more than they are, and shown in percent.
	Share bool `json:"share,omitempty"`
	// Scale is over how many things it is shown, 1000 for a cost; 1 when it is 0.
	Scale float64 `json:"scale,omitempty"`
	Unit  string  `json:"unit,omitempty"` // shown after a value
	// Of is what is counted, in words: "failed requests".
	Of string `json:"of,omitempty"`
}

// Better says which of two values is better.
type Better string

// The directions of a metric.
const (
	Less Better = "less"
	More Better = "more"
)

// Interval is a time span, the end not included, with what was seen of each
// metric by its name. One that is missing was not seen.
type Interval struct {
	Start    time.Time          `json:"start"`
	End      time.Time          `json:"end"`
	Readings map[string]Reading `json:"readings"`
}

// Reading is what was seen of both releases in one interval.
type Reading struct {
	Old Sample `json:"old,omitzero"`
	New Sample `json:"new,omitzero"`
	// Errored is why nothing could be seen, as a sentence without its full stop.
	Errored string `json:"errored,omitempty"`
}

// Sample is a sum, and over how many things it is.
type Sample struct {
	Sum  float64 `json:"sum"`
	Over float64 `json:"over"`
}

// Bounded is a reading that evidence may hold: this one, or why it is none.
func (r Reading) Bounded(m Metric) Reading {
	for _, s := range []Sample{r.Old, r.New} {
		if !s.sane(m) {
			return Reading{Errored: fmt.Sprintf("it adds up to %.4g over %.4g in one interval, and %.4g is the most that can be compared", s.Sum, s.Over, maxSum)}
		}
	}
	return r
}

func (s Sample) plus(t Sample) Sample { return Sample{s.Sum + t.Sum, s.Over + t.Over} }

// ratio is the sum over the things; 0 without any.
func (s Sample) ratio() float64 {
	if s.Over == 0 {
		return 0
	}
	return s.Sum / s.Over
}

func (e Evidence) withDefaults() Evidence {
	if e.Alpha == 0 {
		e.Alpha = 0.05
	}
	metrics := make([]Metric, len(e.Metrics))
	for i, m := range e.Metrics {
		if m.Scale == 0 {
			m.Scale = 1
		}
		metrics[i] = m
	}
	e.Metrics = metrics
	return e
}

// Validate reports all that is wrong with evidence. What is valid can be
// written as JSON.
func (e Evidence) Validate() error {
	problems := e.withDefaults().problems()
	if len(problems) == 0 {
		return nil
	}
	const shown = 10
	more := ""
	if n := len(problems); n > shown {
		problems, more = problems[:shown], fmt.Sprintf("; and %d more", n-shown)
	}
	return towpath.E(towpath.KindInvalid, "experiment.validate", "no report can be made of this evidence: %s%s", strings.Join(problems, "; "), more).
		WithHint("give what `towpath experiment report -o json` printed")
}

func (e Evidence) problems() []string {
	var out []string
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	wrong(!(e.Alpha >= 1e-9 && e.Alpha <= 0.5), "alpha is %v, and has to be between 0.000000001 and 0.5", e.Alpha)
	wrong(e.For <= 0, "it does not say how long it was to take")
	wrong(len(e.Metrics) > maxMetrics, "there are %d metrics; %d are the most", len(e.Metrics), maxMetrics)
	wrong(len(e.Intervals) > maxIntervals, "there are %d intervals; %d are the most", len(e.Intervals), maxIntervals)
	if len(out) > 0 {
		return out
	}
	known := map[string]bool{}
	for _, m := range e.Metrics {
		wrong(m.Name == "" || known[m.Name], "the name %q of a metric is missing or used twice", m.Name)
		known[m.Name] = true
		wrong(m.Better != Less && m.Better != More, "of %q, better is %q, and may be less or more", m.Name, m.Better)
		wrong(!(m.Scale > 0) || math.IsInf(m.Scale, 1), "the scale of %q is %v, and has to be positive", m.Name, m.Scale)
	}
	for i, iv := range e.Intervals {
		wrong(iv.Start.Year() < 0 || iv.End.Year() > 9999, "interval %d is not in the years 0 to 9999", i+1)
		wrong(!iv.End.After(iv.Start), "interval %d ends before it starts", i+1)
		wrong(i > 0 && iv.Start.Before(e.Intervals[i-1].End), "interval %d overlaps the one before it", i+1)
		for _, m := range e.Metrics { // in a fixed order
			r := iv.Readings[m.Name]
			wrong(!r.Old.sane(m) || !r.New.sane(m), "interval %d: the samples of %q are no counts", i+1, m.Name)
		}
	}
	return out
}

func (s Sample) sane(m Metric) bool {
	return math.Abs(s.Sum) <= maxSum && s.Over >= 0 && s.Over <= maxSum &&
		(!m.Share || s.Sum >= 0 && s.Sum <= s.Over*(1+1e-9)+1e-9)
}
