package projectfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/promql/query"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	// defaultMoments is the share of moments at which a threshold has to be kept.
	defaultMoments = 0.9
	maxQuery       = 4096 // bytes
	maxTolerance   = 10
	maxWindow      = 7 * 24 * time.Hour
)

// objectiveKeys are the keys of each kind of objective, besides those of all.
func objectiveKeys() map[towpath.ObjectiveKind][]string {
	return map[towpath.ObjectiveKind][]string{
		towpath.ObjectiveErrors:    {"target"},
		towpath.ObjectiveLatency:   {"target", "bound"},
		towpath.ObjectiveRatio:     {"target", "good", "bad", "total"},
		towpath.ObjectiveQuantile:  {"target", "query", "below"},
		towpath.ObjectiveThreshold: {"target", "query", "below", "above", "compare"},
	}
}

func readObjectives(o object) []towpath.Objective {
	var out []towpath.Objective
	for _, e := range o.list("objectives") {
		x := o.r.object(e.path, e.n)
		x.only("name", "component", "kind", "query", "good", "bad", "total", "target", "bound", "below", "above", "compare",
			"window", "minSamples", "tolerance", "critical", "weight")
		x.need("name", "give it a name")
		x.need("kind", "write errors or latency, which are counted without a query, or ratio, quantile or threshold for what queries answer")
		j := towpath.Objective{
			Name: x.str("name", ""), Component: towpath.ComponentName(x.str("component", "")),
			Kind: choice(x, "kind", towpath.ObjectiveQuery, towpath.ObjectiveErrors, towpath.ObjectiveLatency,
				towpath.ObjectiveRatio, towpath.ObjectiveQuantile, towpath.ObjectiveThreshold),
			Query: x.query("query"), Good: x.query("good"), Bad: x.query("bad"), Total: x.query("total"),
			Target: x.number("target"), Bound: x.latency("bound"),
			Below: x.bound("below"), Above: x.bound("above"), Ranks: choice(x, "compare", "times", "times", "ranks") == "ranks",
			Window:     x.duration("window", 0, time.Second, maxWindow),
			MinSamples: x.integer("minSamples", 0, 1, 1_000_000_000), Tolerance: x.number("tolerance"), Critical: x.boolean("critical"), Weight: x.number("weight"),
		}
		if _, ok := x.value("target"); !ok && j.Kind == towpath.ObjectiveThreshold {
			j.Target = defaultMoments
		}
		if n, ok := x.value("name"); ok && n.kind == kindString {
			o.r.name(n, x.at("name"), j.Name)
			if slices.ContainsFunc(out, func(y towpath.Objective) bool { return y.Name == j.Name }) {
				o.r.problem(n, x.at("name"), fmt.Sprintf("there are two objectives %q", j.Name), "give each its own name")
			}
		}
		checkObjective(x, j)
		out = append(out, j)
	}
	return out
}

// bound is a number that may be left out.
func (o object) bound(key string) *float64 {
	if _, ok := o.value(key); !ok {
		return nil
	}
	v := o.number(key)
	return &v
}

// latency is a time between which and others the data plane counts: of another
// one nobody would know how many answers took longer.
func (o object) latency(key string) time.Duration {
	known := towpath.LatencyBounds()
	d := o.duration(key, 0, known[0], known[len(known)-1])
	n, ok := o.value(key)
	if i, found := slices.BinarySearch(known[:], d); ok && i > 0 && !found {
		o.r.problem(n, o.at(key), fmt.Sprintf("how many answers take longer than %s is not counted", d),
			fmt.Sprintf("write %s or %s; the guide about objectives lists all bounds", known[i-1], known[i]))
	}
	return d
}

// query is a query with its placeholders.
func (o object) query(key string) string {
	q := o.str(key, "")
	n, ok := o.value(key)
	if !ok || n.kind != kindString {
		return q
	}
	if len(q) > maxQuery || strings.TrimSpace(q) == "" {
		o.r.problem(n, o.at(key), fmt.Sprintf("a query has from 1 to %d bytes", maxQuery), "")
	}
	var known []string
	filled := map[towpath.Placeholder]string{}
	for _, p := range towpath.Placeholders() {
		known = append(known, string(p))
		filled[p] = "x"
	}
	filled[towpath.InInterval], filled[towpath.InWindow] = "1m", "1m"
	for _, p := range towpath.PlaceholdersIn(q) {
		if !slices.Contains(known, string(p)) {
			o.r.problem(n, o.at(key), fmt.Sprintf("{{%s}} is no placeholder", p), didyoumean.Hint(string(p), known))
		}
		if _, ok := o.value("window"); p == towpath.InWindow && !ok {
			o.r.problem(n, o.at(key), "{{window}} stands in the query, and the objective has no window", "write window: 5m")
		}
		filled[p] = cmp.Or(filled[p], "x")
	}
	if why := query.Problem(towpath.Expand(q, filled)); why != "" {
		o.r.problem(n, o.at(key), "this is no query in PromQL: "+why, "try it in the metric source, with the placeholders filled in")
	}
	return q
}

// checkObjective reports what does not fit the objective's kind.
func checkObjective(x object, j towpath.Objective) {
	mine, known := objectiveKeys()[j.Kind]
	if !known {
		return
	}
	for _, key := range []string{"target", "bound", "query", "good", "bad", "total", "below", "above", "compare"} {
		if n, ok := x.value(key); ok && !slices.Contains(mine, key) {
			x.r.problem(n, x.at(key), fmt.Sprintf("%s is not for objectives of kind %s", key, j.Kind),
				fmt.Sprintf("take it out, or the kind is another one: %s has %s", j.Kind, strings.Join(mine, ", ")))
		}
	}
	if j.Kind != towpath.ObjectiveThreshold {
		x.need("target", "say which share has to be good: 0.999")
	}
	if n, ok := x.value("target"); ok && (j.Target <= 0 || j.Target >= 1) {
		x.r.problem(n, x.at("target"), "the target is no share between 0 and 1", "write the share that has to be good: 0.999")
	}
	if n, ok := x.value("tolerance"); ok && !(j.Tolerance >= 1 && j.Tolerance <= maxTolerance) {
		x.r.problem(n, x.at("tolerance"), fmt.Sprintf("a tolerance is a ratio from 1 to %d", maxTolerance), "1.5 allows the new revision half as many bad ones more than the old one has")
	}
	if n, ok := x.value("weight"); ok && (j.Weight <= 0 || j.Weight > 1000 || j.Critical) {
		x.r.problem(n, x.at("weight"), "a weight is above 0, at most 1000, and for what is not critical", "take it out: what is critical decides alone")
	}
	switch j.Kind {
	case towpath.ObjectiveLatency:
		x.need("bound", "say within which time the share of requests has to be answered: bound: 300ms")
	case towpath.ObjectiveRatio:
		x.need("total", "write the query that counts all of them")
		x.exactlyOne("good", "bad", "write the query that counts the good ones, or the bad ones")
	case towpath.ObjectiveQuantile:
		x.need("query", "write the query that answers the buckets of each instance: http_request_duration_seconds_bucket{revision=\"{{revision}}\"}")
		x.need("below", "say below what the share of values has to be, in the unit of the query")
	case towpath.ObjectiveThreshold:
		x.need("query", "write the query that answers the value")
		x.exactlyOne("below", "above", "say what the value has to be below or above")
		if n, ok := x.value("compare"); ok && j.Ranks && !j.Compares() {
			x.r.problem(n, x.at("compare"), "the query names no revision, so there is nothing to compare", "put {{revision}} into the query, or take compare out")
		}
	}
}

func (o object) exactlyOne(one, other, hint string) {
	_, a := o.value(one)
	_, b := o.value(other)
	switch {
	case a && b:
		o.r.problem(o.n, o.at(other), fmt.Sprintf("%s and %s are there", one, other), "take one out")
	case !a && !b:
		o.r.problem(o.n, o.at(one), fmt.Sprintf("neither %s nor %s is there", one, other), hint)
	}
}
