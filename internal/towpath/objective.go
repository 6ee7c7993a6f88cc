package towpath

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Objective is a service level that a rollout is judged by.
type Objective struct {
	Name      string        `json:"name"`
	Component ComponentName `json:"component,omitempty"` // empty: every one
	Kind      ObjectiveKind `json:"kind,omitempty"`
	// Query is that of a quantile (buckets) or a threshold (values); Total with
	// Good or Bad those of a ratio. They may hold placeholders, see [Expand].
	Query string `json:"query,omitempty"`
	Good  string `json:"good,omitempty"`
	Bad   string `json:"bad,omitempty"`
	Total string `json:"total,omitempty"`
	// Target is the share that has to be good, in (0, 1): of requests, or of the
	// moments at which a threshold is looked at.
	Target float64       `json:"target"`
	Bound  time.Duration `json:"bound,omitempty"` // of a latency, nanoseconds
	// Below is the greatest good value of a quantile or a threshold, Above the
	// least good one of a threshold, in the unit of the query.
	Below *float64 `json:"below,omitempty"`
	Above *float64 `json:"above,omitempty"`
	// Ranks compares the values of a threshold by their ranks.
	Ranks bool `json:"ranks,omitempty"`
	// Window is how long the new revision has to be seen before it is called not
	// worse, and over which the error budget may not burn too fast; nanoseconds.
	Window time.Duration `json:"window,omitempty"`
	// MinSamples is how many requests (values of a threshold) each revision must
	// have had before anything but worse is said; 0: a default.
	MinSamples int `json:"minSamples,omitempty"`
	// Tolerance is the ratio of the shares of bad ones, new to old, that is still
	// no difference, ≥ 1; 1 when it is 0.
	Tolerance float64 `json:"tolerance,omitempty"`
	// Critical objectives decide alone; the others together, by Weight, which is
	// 1 when it is 0.
	Critical bool    `json:"critical,omitempty"`
	Weight   float64 `json:"weight,omitempty"`
}

// ObjectiveKind says what an objective counts.
type ObjectiveKind string

// The kinds of objective. The data plane counts the first two by itself; a
// metric source is asked for the others.
const (
	ObjectiveErrors    ObjectiveKind = "errors"    // requests that the server failed
	ObjectiveLatency   ObjectiveKind = "latency"   // requests that took longer than Bound
	ObjectiveRatio     ObjectiveKind = "ratio"     // good or bad ones of a total
	ObjectiveQuantile  ObjectiveKind = "quantile"  // the share of a histogram that is beyond Below
	ObjectiveThreshold ObjectiveKind = "threshold" // values beyond Below or Above
	// ObjectiveMeasure is what is only counted, for experiments.
	ObjectiveMeasure ObjectiveKind = "measure"
	// ObjectiveQuery is of releases from before the three kinds above: a query
	// that does not say what is good. Nothing can be said of it.
	ObjectiveQuery ObjectiveKind = ""
)

// Asks reports whether a metric source is asked for an objective.
func (o Objective) Asks() bool { return len(o.Queries()) > 0 }

// Judges reports whether anything is judged by an objective; others are only shown.
func (o Objective) Judges() bool { return o.Kind != ObjectiveQuery && o.Kind != ObjectiveMeasure }

// Counted reports whether what the data plane counts is all that an objective
// needs.
func (o Objective) Counted() bool { return o.Kind == ObjectiveErrors || o.Kind == ObjectiveLatency }

// The names of an objective's queries.
const (
	QueryValues = "query"
	QueryGood   = "good"
	QueryBad    = "bad"
	QueryTotal  = "total"
)

// Queries are the queries of an objective by their names, in a fixed order.
func (o Objective) Queries() []NamedQuery {
	switch o.Kind {
	case ObjectiveRatio:
		part := NamedQuery{QueryBad, o.Bad}
		if o.Good != "" {
			part = NamedQuery{QueryGood, o.Good}
		}
		return []NamedQuery{part, {QueryTotal, o.Total}}
	case ObjectiveQuantile, ObjectiveThreshold, ObjectiveMeasure:
		return []NamedQuery{{QueryValues, o.Query}}
	default:
		return nil
	}
}

// NamedQuery is a query of an objective.
type NamedQuery struct {
	Name string
	Text string
}

// Placeholder names what a query has filled in: {{revision}}.
type Placeholder string

// The placeholders of queries.
const (
	InRevision    Placeholder = "revision"
	InRelease     Placeholder = "release"    // digest of the revision's release
	InDeployment  Placeholder = "deployment" // that brought the revision
	InProject     Placeholder = "project"
	InEnvironment Placeholder = "environment"
	InComponent   Placeholder = "component"
	InInterval    Placeholder = "interval" // the time since the query was asked last, as a duration of PromQL
	InWindow      Placeholder = "window"   // the objective's window, likewise
)

// Placeholders lists all of them.
func Placeholders() []Placeholder {
	return []Placeholder{InRevision, InRelease, InDeployment, InProject, InEnvironment, InComponent, InInterval, InWindow}
}

// PlaceholdersIn lists what stands between double braces in a query, known or
// not.
func PlaceholdersIn(query string) []Placeholder {
	var out []Placeholder
	for _, m := range placeholder().FindAllStringSubmatch(query, -1) {
		out = append(out, Placeholder(m[1]))
	}
	return out
}

// Expand fills in the placeholders of a query; what has no value stays.
func Expand(query string, values map[Placeholder]string) string {
	return placeholder().ReplaceAllStringFunc(query, func(s string) string {
		if v, ok := values[Placeholder(strings.Trim(s, "{} \t"))]; ok {
			return v
		}
		return s
	})
}

func placeholder() *regexp.Regexp { return regexp.MustCompile(`\{\{[ \t]*([A-Za-z]+)[ \t]*\}\}`) }

// Compares reports whether all queries of an objective tell one revision from
// another. Those that don't are asked once, and there is nothing to compare.
func (o Objective) Compares() bool {
	for _, q := range o.Queries() {
		if !slices.ContainsFunc(PlaceholdersIn(q.Text), func(p Placeholder) bool {
			return p == InRevision || p == InRelease || p == InDeployment
		}) {
			return false
		}
	}
	return true
}

// Counters reports whether a query answers counters that grow, and not what was
// counted in an interval.
func Counters(query string) bool { return !slices.Contains(PlaceholdersIn(query), InInterval) }

// MetricSample is one series of a metric source's answer, at one moment. Native
// histograms have no place here: they answer as buckets do, one sample each.
type MetricSample struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

// SampleSet is what a place sampled of one target at one moment. The label
// `__name__` of a series is its name.
type SampleSet struct {
	Target Target         `json:"target"`
	Series []MetricSample `json:"series"`
}

// Measurement is what a metric source said of the objectives of a rollout at
// one moment.
type Measurement struct {
	// At is the moment that was asked for, Since that of the measurement before;
	// Recorded when the answers were there. All by the server's clock.
	At       time.Time          `json:"at"`
	Since    time.Time          `json:"since"`
	Recorded time.Time          `json:"recorded"`
	Readings []ObjectiveReading `json:"readings"`
}

// ObjectiveReading is what was said of one objective.
type ObjectiveReading struct {
	Objective string `json:"objective"`
	// Errored is why the source could not be asked, as a sentence without its
	// full stop.
	Errored string `json:"errored,omitempty"`
	// Answers are by the name of the query; nil: it was not asked of that
	// revision.
	Canary   map[string][]MetricValue `json:"canary,omitempty"`
	Baseline map[string][]MetricValue `json:"baseline,omitempty"`
}

// MetricValue is one series of an answer. Series names it, shortly, so that its
// values at two moments can be told to belong together.
type MetricValue struct {
	Series string  `json:"s,omitempty"`
	LE     string  `json:"le,omitempty"` // upper bound of a bucket
	Value  float64 `json:"v"`
}
