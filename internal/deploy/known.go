package deploy

import (
	"maps"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// known is what was last answered of each series of a revision's counters, by
// query. A series that an answer lacks is not forgotten: scrapes fail, and sources
// answer in part.
type known map[string]map[string]counter

// counter is one series, with all of its buckets when it has any.
type counter struct {
	within map[string]float64 // by the label le
	at     time.Time          // when it was answered
	// lost is what it had come to before it was lower; zero: it never was. Most
	// counters that are lower began anew, but a sum is, too, when a part of it is away,
	// and then comes back to this.
	lost float64
}

// growth is by how much a revision's counters grew, by query.
type growth struct {
	values map[string][]towpath.MetricValue
	begun  bool      // there is something to count, and to count from
	unsure bool      // something was lower, has other buckets, or came back: nobody knows by how much it grew
	since  time.Time // when the earliest of what it counts from was answered
}

// take is what an objective's counters grew by, and remembers them as they are
// now. A series of which nothing is known began since; but where nothing is known of
// a revision, counting begins with what is there now. What are no counters, values
// and what was counted in an interval, are taken as they are.
func (k known) take(o towpath.Objective, now map[string][]towpath.MetricValue, at time.Time) growth {
	g := growth{values: map[string][]towpath.MetricValue{}}
	for _, q := range o.Queries() {
		g.begun = len(now[q.Name]) > 0 // of a ratio the last one counts, which is the total
		if o.Kind == towpath.ObjectiveThreshold || !towpath.Counters(q.Text) {
			g.values[q.Name] = now[q.Name]
			continue
		}
		g.begun = g.begun && len(k[q.Name]) > 0
		if k[q.Name] == nil {
			k[q.Name] = map[string]counter{}
		}
		k.grow(&g, q.Name, now[q.Name], at)
	}
	return g
}

// grow adds what the counters of one query grew by.
func (k known) grow(g *growth, query string, now []towpath.MetricValue, at time.Time) {
	series := map[string]map[string]float64{}
	for _, n := range now {
		if series[n.Series] == nil {
			series[n.Series] = map[string]float64{}
		}
		series[n.Series][n.LE] += n.Value
	}
	for _, name := range slices.Sorted(maps.Keys(series)) {
		was, has := k[query][name]
		if has && (g.since.IsZero() || was.at.Before(g.since)) {
			g.since = was.at
		}
		next := counter{within: series[name], at: at, lost: was.lost}
		fell := has && len(was.within) != len(next.within) // nobody can tell what of others is in which
		for _, le := range slices.Sorted(maps.Keys(next.within)) {
			before, known := was.within[le]
			fell = fell || has && (!known || next.within[le] < before)
			g.values[query] = append(g.values[query], towpath.MetricValue{LE: le, Value: next.within[le] - before})
		}
		if fell {
			next.lost = max(next.lost, was.level())
		}
		back := next.lost > 0 && next.level() >= next.lost
		if back {
			next.lost = 0
		}
		g.unsure = g.unsure || fell || back
		k[query][name] = next
	}
}

// level is how far a counter has come: what its widest bucket holds.
func (c counter) level() (most float64) {
	for _, v := range c.within {
		most = max(most, v)
	}
	return most
}
