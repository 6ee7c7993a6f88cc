package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	scrapeTimeout = time.Second
	maxScraped    = 2000 // series of an instance
	maxScrapes    = 8    // at once
)

// Samples are what the router counts of each revision, and the metrics of the
// instances of components that say where theirs are. The values of our labels
// are bounded by what is prepared.
func (r *Runner) Samples(ctx context.Context) ([]towpath.SampleSet, error) {
	targets, unread := r.allTargets()
	if len(targets) == 0 {
		return nil, unread
	}
	snap, err := r.router.Snapshot(ctx)
	if err != nil && towpath.KindOf(err) != towpath.KindUnavailable {
		return nil, err
	}
	out := make([]towpath.SampleSet, 0, len(targets))
	for _, rec := range targets {
		set := towpath.SampleSet{Target: rec.Target}
		about := map[towpath.RevisionID]map[string]string{}
		for _, s := range snap.Series {
			if s.Route != rec.Target.Key() || s.Left {
				continue
			}
			about[s.Revision] = map[string]string{"revision": string(s.Revision), "deployment": string(s.Deployment), "release": string(s.Release)}
			set.Series = append(set.Series, routed(s, snap.Bounds, about[s.Revision])...)
		}
		set.Series = append(set.Series, r.scrape(ctx, rec, about)...)
		// What is no number says nothing, and has no form on the wire.
		set.Series = slices.DeleteFunc(set.Series, func(s towpath.MetricSample) bool { return math.IsNaN(s.Value) || math.IsInf(s.Value, 0) })
		out = append(out, set)
	}
	return out, errors.Join(ctx.Err(), unread)
}

// routed are the metrics of the router about one revision, by the names that
// the router itself shows to Prometheus.
func routed(s route.Series, bounds []float64, about map[string]string) []towpath.MetricSample {
	var out []towpath.MetricSample
	add := func(name string, v float64, more ...string) {
		out = append(out, named(about, "towpath_router_"+name, v, more...))
	}
	tally := func(prefix string, t route.Tally) {
		for _, class := range route.Classes() {
			add(prefix+"requests_total", float64(t.Requests[class]), "class", string(class))
		}
		within, all := t.Shown(bounds)
		for _, b := range within {
			add(prefix+"request_duration_seconds_bucket", float64(b.Requests), "le", number(b.Bound))
		}
		add(prefix+"request_duration_seconds_bucket", float64(all), "le", "+Inf")
		add(prefix+"request_duration_seconds_count", float64(all))
		add(prefix+"request_duration_seconds_sum", t.Seconds)
	}
	tally("", s.Client)
	for prefix, t := range map[string]route.Tally{"mirrored_": s.Mirrored, "original_": s.Original} {
		if slices.ContainsFunc(t.Buckets, func(n uint64) bool { return n > 0 }) {
			tally(prefix, t)
		}
	}
	add("requests_in_flight", float64(s.InFlight))
	add("retries_total", float64(s.Retries))
	add("weight", float64(s.Weight))
	return out
}

func named(about map[string]string, name string, v float64, more ...string) towpath.MetricSample {
	labels := maps.Clone(about)
	for i := 0; i < len(more); i += 2 {
		if theirs, has := labels[more[i]]; has && theirs != "" {
			more[i] = "exported_" + more[i]
		}
		labels[more[i]] = more[i+1]
	}
	labels["__name__"] = name
	return towpath.MetricSample{Labels: labels, Value: v}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// scrape asks the instances of a target for their metrics.
func (r *Runner) scrape(ctx context.Context, rec *target, about map[towpath.RevisionID]map[string]string) []towpath.MetricSample {
	var mu sync.Mutex
	var out []towpath.MetricSample
	var why error
	g := new(errgroup.Group)
	g.SetLimit(maxScrapes)
	for _, rev := range slices.Sorted(maps.Keys(rec.Revisions)) {
		spec := rec.Revisions[rev].Spec
		if spec.Metrics == nil {
			continue
		}
		for i, id := range rec.instances(rev) {
			in, err := r.look(id)
			if err != nil || !in.ready() {
				continue
			}
			labels := rec.Revisions[rev].about(rev)
			labels["instance"] = strconv.Itoa(i)
			maps.Copy(labels, about[rev])
			g.Go(func() error {
				got, err := r.scrapeOne(ctx, spec.Protocol, "http://"+in.record.address()+spec.Metrics.Path, labels)
				up := 1.0
				if err != nil {
					up = 0
				}
				mu.Lock()
				defer mu.Unlock()
				if err != nil && why == nil {
					why = fmt.Errorf("instance %d at %s: %w", i, spec.Metrics.Path, err)
				}
				out = append(append(out, got...), named(labels, "up", up))
				return nil
			})
		}
	}
	_ = g.Wait() // what could not be asked says so by up
	r.sayMute(ctx, rec.Target, why)
	return out
}

// about are the labels of what an instance of a revision shows: the same before it
// has traffic as with it, so that its counters stay the series that they are.
func (v revision) about(rev towpath.RevisionID) map[string]string {
	labels := map[string]string{"revision": string(rev)}
	if v.Deployment != "" {
		labels["deployment"], labels["release"] = string(v.Deployment), string(v.Release)
	}
	return labels
}

// sayMute logs that instances of a target do not give their metrics, when that
// begins: a canary then waits for evidence, and up alone does not say why.
func (r *Runner) sayMute(ctx context.Context, t towpath.Target, why error) {
	r.mu.Lock()
	was := r.mute[t.Key()]
	r.mute[t.Key()] = why != nil
	r.mu.Unlock()
	if why != nil && !was {
		r.log.WarnContext(ctx, "instances do not give their metrics", "component", t.Component, "environment", t.Environment, "error", why)
	}
}

// scrapeOne asks one instance. An answer that is too long is none: half of it
// would look like counters that were reset.
func (r *Runner) scrapeOne(ctx context.Context, speaks route.Protocol, url string, about map[string]string) ([]towpath.MetricSample, error) {
	status, body, err := r.request(ctx, speaks, http.MethodGet, url, scrapeTimeout)
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, fmt.Errorf("it answered %d", status)
	case len(body) == maxBody:
		return nil, fmt.Errorf("its metrics have more than %d bytes", maxBody)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var out []towpath.MetricSample
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if reserved(name) {
			continue
		}
		for _, m := range families[name].GetMetric() {
			out = append(out, scraped(name, m, about)...)
		}
		if len(out) > maxScraped {
			return nil, fmt.Errorf("it has more than %d series", maxScraped)
		}
	}
	return out, nil
}

// reserved reports whether a metric is what towpath itself says of an instance:
// none is believed about how it answered, which it is judged by.
func reserved(name string) bool { return name == "up" || strings.HasPrefix(name, "towpath_") }

// scraped are the series of one metric.
func scraped(name string, m *dto.Metric, about map[string]string) []towpath.MetricSample {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, l.GetName(), l.GetValue())
	}
	var out []towpath.MetricSample
	add := func(suffix string, v float64, more ...string) {
		out = append(out, named(about, name+suffix, v, append(slices.Clone(labels), more...)...))
	}
	switch {
	case m.Counter != nil:
		add("", m.Counter.GetValue())
	case m.Gauge != nil:
		add("", m.Gauge.GetValue())
	case m.Untyped != nil:
		add("", m.Untyped.GetValue())
	case m.Summary != nil:
		for _, q := range m.Summary.GetQuantile() {
			add("", q.GetValue(), "quantile", number(q.GetQuantile()))
		}
		add("_sum", m.Summary.GetSampleSum())
		add("_count", float64(m.Summary.GetSampleCount()))
	case m.Histogram != nil:
		for _, b := range m.Histogram.GetBucket() {
			add("_bucket", float64(b.GetCumulativeCount()), "le", number(b.GetUpperBound()))
		}
		if n := len(m.Histogram.GetBucket()); n == 0 || m.Histogram.GetBucket()[n-1].GetUpperBound() < math.MaxFloat64 {
			add("_bucket", float64(m.Histogram.GetSampleCount()), "le", "+Inf")
		}
		add("_sum", m.Histogram.GetSampleSum())
		add("_count", float64(m.Histogram.GetSampleCount()))
	}
	return out
}
