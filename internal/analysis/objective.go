package analysis

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Kind says what an objective counts.
type Kind string

// The kinds of objective.
const (
	// Ratio counts good and bad requests.
	Ratio Kind = "ratio"
	// Quantile wants a quantile to stay within a bound. That is the same as
	// wanting no more than a share of requests beyond the bound, so that is what
	// is counted, from a histogram.
	Quantile Kind = "quantile"
	// Threshold wants sampled values to stay within a bound.
	Threshold Kind = "threshold"
)

// Objective is what a revision has to keep to. Times are in nanoseconds in JSON.
type Objective struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Target is the share that has to be good, in (0, 1): of requests (ratio);
	// the quantile itself, 0.99 for the 99th percentile; of the times at which a
	// threshold is looked at.
	Target float64 `json:"target"`
	// Bound is the greatest value that is good, of a quantile or a threshold, in
	// the unit of the samples.
	Bound float64 `json:"bound,omitempty"`
	// Least makes the bound of a threshold the least value that is good.
	Least bool `json:"least,omitempty"`
	// Critical objectives decide alone. The others decide together, by weight.
	Critical bool    `json:"critical,omitempty"`
	Weight   float64 `json:"weight,omitempty"`
	// Window is how long the new revision has to be seen before it is called not
	// worse, and the long window of the default burn rate.
	Window time.Duration `json:"window,omitempty"`
	// MinSamples is how many requests (values, of a threshold) have to be seen of
	// each revision before anything but worse is said; 50 when it is 0.
	MinSamples float64 `json:"minSamples,omitempty"`
	// Tolerance is the ratio of bad rates, new to baseline, that is still no
	// difference, ≥ 1; 1 when it is 0. Busy services want 1.1, because with a
	// million requests any difference is certain.
	Tolerance float64 `json:"tolerance,omitempty"`
	// Harm is the least ratio of bad rates that would be harm; not worse means
	// that it is ruled out. Greater than Tolerance; twice the tolerance when 0.
	Harm float64 `json:"harm,omitempty"`
	// Burns are the pairs of windows in which the error budget may not be used up
	// too fast; one of Window and a twelfth of it at ten times the budget when
	// empty.
	Burns []Burn `json:"burns,omitempty"`
	// Shifts also asks of a quantile whether the latencies lie beyond those of
	// the baseline wherever the bound is. A new process is a little slower than a
	// warm one, which that finds too: it is for rollouts whose baseline is new.
	Shifts bool `json:"shifts,omitempty"`
	// Alone says that the baseline can't be read, so that there is nothing to
	// compare: it is judged by what it has to keep to.
	Alone bool `json:"alone,omitempty"`
	// Ranks compares the values of a threshold by their ranks (Mann-Whitney)
	// instead of how often they are beyond the bound.
	Ranks bool `json:"ranks,omitempty"`
}

// Burn is a pair of windows. The budget burns too fast when in both of them the
// bad rate is Factor times what the target allows, or more.
type Burn struct {
	Long   time.Duration `json:"long"`
	Short  time.Duration `json:"short"`
	Factor float64       `json:"factor"`
}

// budget is the share that may be bad.
func (o Objective) budget() float64 { return 1 - o.Target }

func (o Objective) withDefaults() Objective {
	o.MinSamples = cmp.Or(o.MinSamples, 50)
	o.Tolerance = cmp.Or(o.Tolerance, 1)
	o.Harm = cmp.Or(o.Harm, 2*o.Tolerance)
	if len(o.Burns) == 0 {
		o.Burns = []Burn{{Long: o.Window, Short: o.Window / 12, Factor: 10}}
	}
	return o
}

// problems lists what is wrong with an objective, as sentences.
func (o Objective) problems() []string {
	var out []string
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf("objective %q: ", o.Name)+fmt.Sprintf(format, args...))
		}
	}
	wrong(o.Name == "", "it needs a name")
	wrong(o.Kind != Ratio && o.Kind != Quantile && o.Kind != Threshold, "its kind is %q, and may be ratio, quantile or threshold", o.Kind)
	wrong(!(o.Target >= 1e-6 && o.Target <= 1-1e-6), "its target is %v, and has to be between 0.000001 and 0.999999", o.Target)
	wrong(!finite(o.Bound), "its bound is no number")
	wrong(o.Least && o.Kind != Threshold, "only the bound of a threshold can be the least good value")
	wrong(o.Ranks && o.Kind != Threshold, "only the values of a threshold can be compared by ranks")
	wrong(!(o.Weight >= 0) || !finite(o.Weight), "its weight is %v, and may not be negative", o.Weight)
	wrong(!o.Critical && o.Weight == 0, "it is not critical and has no weight, so it would decide nothing")
	wrong(o.Window < 0, "its window is negative")
	wrong(!(o.MinSamples >= 0) || !finite(o.MinSamples), "its least number of samples is %v, and may not be negative", o.MinSamples)
	wrong(!(o.Tolerance >= 1 && o.Tolerance <= 1e6), "its tolerance is %v, and has to be a ratio from 1 to 1,000,000", o.Tolerance)
	wrong(!(o.Harm > o.Tolerance && o.Harm <= 1e7), "harm begins at a ratio of %v, and has to begin above the tolerance", o.Harm)
	wrong(len(o.Burns) > 8, "it has %d pairs of windows; 8 are the most", len(o.Burns))
	for _, b := range o.Burns {
		wrong(b.Short < 0 || b.Long < b.Short, "the short window of a burn rate has to lie within the long one")
		wrong(!(b.Factor >= 1) || !finite(b.Factor), "the factor of a burn rate is %v, and has to be at least 1", b.Factor)
	}
	return out
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
