package towpath

import (
	"strings"
	"time"
)

// Experiment is how two releases run side by side in an environment: the new one
// has a fixed share of the traffic for a fixed time. It never becomes what the
// environment runs by that.
type Experiment struct {
	// Share is the part of the traffic of the new release, in percent. Clients
	// that [Experiment.Match] sends there come on top.
	Share int           `json:"share"`
	For   time.Duration `json:"for"` // nanoseconds
	// On names the objectives of the release that both are compared by; empty: all
	// that are there. Critical ones guard it whether they are named or not.
	On       []string       `json:"on,omitempty"`
	Measures []Measure      `json:"measures,omitempty"`
	Prices   *Prices        `json:"prices,omitempty"` // compare the cost of 1,000 requests
	Match    []TrafficMatch `json:"match,omitempty"`
	Sticky   *TrafficSticky `json:"sticky,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	// Ended is when it was over or stopped, and traffic began to go back. It stays
	// zero when the release failed.
	Ended time.Time `json:"ended,omitzero"`
	// Promoted is that its release was asked to be promoted, by what its report said
	// then: asking again asks for the same.
	Promoted bool `json:"promoted,omitempty"`
}

// Compared is the release that another one was compared with.
type Compared struct {
	Release    Digest       `json:"release"`
	Version    string       `json:"version"`
	Experiment DeploymentID `json:"experiment"` // that compared them
}

// Measure is something that is counted of both releases, per request: how much
// people order, say.
type Measure struct {
	Name   string `json:"name"`
	Query  string `json:"query"`  // may hold placeholders, see [Expand]
	Better string `json:"better"` // "more" or "less"
}

// Prices are what a release's requests cost.
type Prices struct {
	Currency string  `json:"currency,omitempty"`
	Request  float64 `json:"request,omitempty"` // each request
	// Items are what else is paid for: what a query counts, at a price each.
	Items []Price `json:"items,omitempty"`
}

// Price is that of one unit of what a query counts.
type Price struct {
	Name  string  `json:"name"`
	Query string  `json:"query"`
	Price float64 `json:"price"`
}

// Names of what is measured of the cost.
const (
	CostMeasure = "cost"
	costItem    = "cost: "
)

// CostItem is the name by which what a price is for is measured.
func CostItem(p Price) string { return costItem + p.Name }

// IsCostItem reports whether a name is one of [CostItem].
func IsCostItem(name string) bool { return strings.HasPrefix(name, costItem) }

// Counted are the measures and prices as objectives that a metric source is
// asked about. Nothing is judged by them.
func (e *Experiment) Counted() []Objective {
	var out []Objective
	for _, m := range e.Measures {
		out = append(out, Objective{Name: m.Name, Kind: ObjectiveMeasure, Query: m.Query})
	}
	if e.Prices != nil {
		for _, p := range e.Prices.Items {
			out = append(out, Objective{Name: CostItem(p), Kind: ObjectiveMeasure, Query: p.Query})
		}
	}
	return out
}

// TrafficMatch is requests that go to the new release whatever the weights say:
// those whose header or cookie has a value, or one that an expression fits.
type TrafficMatch struct {
	Header string `json:"header,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Exact  string `json:"exact,omitempty"`
	Regex  string `json:"regex,omitempty"`
}

// ExperimentRoute is what the data plane does of an experiment besides weights.
type ExperimentRoute struct {
	Match  []TrafficMatch `json:"match,omitempty"`
	Sticky *TrafficSticky `json:"sticky,omitempty"`
}

// Route is nil when weights are all that there is.
func (e *Experiment) Route() *ExperimentRoute {
	if e == nil || len(e.Match) == 0 && e.Sticky == nil {
		return nil
	}
	return &ExperimentRoute{Match: e.Match, Sticky: e.Sticky}
}
