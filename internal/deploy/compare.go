package deploy

import (
	"slices"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/towpath"
)

// Compared is what an experiment has seen of both releases while the new one had
// traffic.
func Compared(d *towpath.Deployment, r *towpath.Rollout, counts []towpath.TrafficCount, measurements []towpath.Measurement) experiment.Evidence {
	e := d.Experiment
	out := experiment.Evidence{
		Old: d.PreviousVersion, New: d.Version, Share: e.Share, For: e.For, Chosen: len(e.Match) > 0, Sticky: e.Sticky != nil,
		Metrics: []experiment.Metric{}, Intervals: []experiment.Interval{},
	}
	judges := *r
	canary := *r.Canary
	canary.Objectives = slices.DeleteFunc(slices.Clone(canary.Objectives), func(o towpath.Objective) bool {
		return !o.Judges() || !o.Compares() && o.Asks() || len(e.On) > 0 && !slices.Contains(e.On, o.Name)
	})
	judges.Canary = &canary
	for _, o := range canary.Objectives {
		out.Metrics = append(out.Metrics, metricOf(o))
	}
	flows := flowsOf(e, r, measurements)
	for _, f := range flows {
		out.Metrics = append(out.Metrics, f.metric)
	}
	in := Evidence(&judges, counts, measurements)
	next := 0
	for i := 1; i < len(counts); i++ {
		from, to := counts[i-1], counts[i]
		if !to.At.After(from.At) {
			continue // another clock; nor has the analysis such an interval
		}
		judged := in.Intervals[next]
		read := judged.Readings
		next++
		if had, ok := revision(from, r.To); !ok || had.Weight == 0 || from.Before {
			continue
		}
		if len(out.Intervals) == 0 {
			for _, f := range flows {
				f.drop(from)
			}
		}
		iv := experiment.Interval{Start: judged.Start, End: judged.End, Readings: map[string]experiment.Reading{}}
		for _, o := range canary.Objectives {
			if got, ok := read[o.Name]; ok {
				iv.Readings[o.Name] = readingOf(o, got).Bounded(metricOf(o))
			}
		}
		for _, f := range flows {
			if got, ok := f.until(from, to, r); ok {
				iv.Readings[f.metric.Name] = got.Bounded(f.metric)
			}
		}
		out.Intervals = append(out.Intervals, iv)
	}
	return out
}

// metricOf is an objective as something to compare by. Of most kinds it is the
// share that is bad; of sampled values it is their mean.
func metricOf(o towpath.Objective) experiment.Metric {
	m := experiment.Metric{Name: o.Name, Better: experiment.Less, Share: true}
	switch o.Kind {
	case towpath.ObjectiveErrors:
		m.Of = "failed requests"
	case towpath.ObjectiveLatency:
		m.Of = "requests slower than " + o.Bound.String()
	case towpath.ObjectiveRatio:
		m.Of = "bad ones"
	case towpath.ObjectiveQuantile:
		m.Of = "beyond the bound"
	case towpath.ObjectiveThreshold:
		m.Share, m.Of = false, "on average"
		if o.Above != nil {
			m.Better = experiment.More
		}
	}
	return m
}

func readingOf(o towpath.Objective, r analysis.Reading) experiment.Reading {
	if r.Errored != "" {
		return experiment.Reading{Errored: r.Errored}
	}
	return experiment.Reading{Old: sumOf(o, r.Baseline), New: sumOf(o, r.Canary)}
}

func sumOf(o towpath.Objective, s *analysis.Sample) experiment.Sample {
	switch {
	case s == nil:
		return experiment.Sample{}
	case o.Kind == towpath.ObjectiveThreshold:
		out := experiment.Sample{Over: float64(len(s.Values))}
		for _, v := range s.Values {
			out.Sum += v
		}
		return out
	case s.Histogram != nil:
		bad, total := s.Histogram.Beyond(objective(o).Bound)
		return experiment.Sample{Sum: bad, Over: total}
	}
	return experiment.Sample{Sum: min(s.Bad, s.Total), Over: s.Total}
}

// flow is something that a metric source counts, at a price each, over the
// requests in which it was counted.
type flow struct {
	metric  experiment.Metric
	request float64 // price of each request itself
	items   []*item
	pending [2]float64 // requests of the old and the new one since it was whole
}

// item is one of the things that a flow sums up.
type item struct {
	price    float64
	counters bool // that go on growing while nobody can ask
	read     []reading
	have     bool
	sum      [2]float64
	away     bool // a counter that could not be read: its next answer counts from before that
	early    bool // and the requests since then were left out
}

func flowsOf(e *towpath.Experiment, r *towpath.Rollout, measurements []towpath.Measurement) []*flow {
	one := func(name string, price float64) *item {
		i := slices.IndexFunc(r.Canary.Objectives, func(o towpath.Objective) bool {
			return o.Kind == towpath.ObjectiveMeasure && o.Name == name
		})
		if i < 0 {
			return &item{}
		}
		o := r.Canary.Objectives[i]
		return &item{price: price, counters: towpath.Counters(o.Query), read: readings(o, measurements)}
	}
	var out []*flow
	for _, m := range e.Measures {
		out = append(out, &flow{
			metric: experiment.Metric{Name: m.Name, Better: experiment.Better(m.Better), Of: "per request"},
			items:  []*item{one(m.Name, 1)},
		})
	}
	if e.Prices != nil {
		f := &flow{
			metric: experiment.Metric{
				Name: towpath.CostMeasure, Better: experiment.Less, Scale: 1000, Unit: e.Prices.Currency, Of: "per 1,000 requests",
			},
			request: e.Prices.Request,
		}
		for _, p := range e.Prices.Items {
			f.items = append(f.items, one(towpath.CostItem(p), p.Price))
		}
		out = append(out, f)
	}
	return out
}

// until is what there is of a flow by the end of an interval; false when a part
// is still missing. Requests of which nobody knows what belongs to them are
// left out.
func (f *flow) until(from, to towpath.TrafficCount, r *towpath.Rollout) (experiment.Reading, bool) {
	for i, rev := range []towpath.RevisionID{r.From, r.To} {
		if s := between(towpath.Objective{Kind: towpath.ObjectiveErrors}, from, to, rev); s != nil {
			f.pending[i] += s.Total
		}
	}
	lost, errored := false, ""
	for _, it := range f.items { // each of them: what is not read now would count for the requests of later
		got, ok := it.upTo(to)
		switch {
		case !ok:
		case got.Errored != "":
			errored, lost = got.Errored, lost || !it.counters
		case got.Canary == nil || got.Baseline == nil || it.early:
			lost = true
		default:
			it.sum[0] += got.Baseline.Total
			it.sum[1] += got.Canary.Total
			it.have = true
		}
	}
	if lost {
		f.lose()
	}
	if errored != "" || slices.ContainsFunc(f.items, func(it *item) bool { return !it.have }) {
		return experiment.Reading{Errored: errored}, errored != ""
	}
	var out [2]experiment.Sample
	for i := range out {
		out[i] = experiment.Sample{Sum: f.request * f.pending[i], Over: f.pending[i]}
		for _, it := range f.items {
			out[i].Sum += it.price * it.sum[i]
		}
	}
	f.forget()
	return experiment.Reading{Old: out[0], New: out[1]}, true
}

// drop leaves out what was measured before a count: the new release had no
// traffic then.
func (f *flow) drop(until towpath.TrafficCount) {
	for _, it := range f.items {
		it.upTo(until)
	}
	f.lose()
}

// lose leaves out the requests so far, and what is yet to be told of them.
func (f *flow) lose() {
	f.forget()
	for _, it := range f.items {
		it.early = it.away
	}
}

func (f *flow) forget() {
	f.pending = [2]float64{}
	for _, it := range f.items {
		it.have, it.sum = false, [2]float64{}
	}
}

// upTo is what was measured of an item until a count came.
func (it *item) upTo(to towpath.TrafficCount) (analysis.Reading, bool) {
	end := slices.IndexFunc(it.read, func(x reading) bool { return x.recorded.After(to.Received) })
	if end < 0 {
		end = len(it.read)
	}
	got, ok := together(it.read[:end])
	if ok {
		it.away = it.counters && it.read[end-1].Errored != ""
	}
	it.read = it.read[end:]
	return got, ok
}
