package router

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// collector shows the counters of a router to Prometheus.
type collector struct {
	server *server

	requests, duration, mirrored, mirroredDuration, original, originalDuration, dropped, retries, inFlight, weight *prometheus.Desc
}

// newCollector describes what is shown. The values of labels are bounded by the
// revisions in the routes and [maxLeft].
func newCollector(s *server) *collector {
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("towpath_router_"+name, help, append([]string{"route", "revision", "deployment", "release"}, more...), nil)
	}
	return &collector{
		server: s,
		requests: desc("requests_total",
			"Requests that a revision was sent, by the first digit of the status that the client got; aborted: the client went away before; unanswered: it did so after the revision had let it wait for a second or more.", "class"),
		duration: desc("request_duration_seconds",
			"From a request's arrival to the end of its answer; to its beginning when the connection is upgraded or events are streamed."),
		mirrored: desc("mirrored_requests_total",
			"Copies of requests that a revision was sent, whose answers nobody got.", "class"),
		mirroredDuration: desc("mirrored_request_duration_seconds",
			"From the sending of a copy to the end of its answer."),
		original: desc("original_requests_total",
			"Requests that a revision was sent and of which another one was sent copies; they are in requests_total as well.", "class"),
		originalDuration: desc("original_request_duration_seconds",
			"Of these, as request_duration_seconds."),
		dropped: desc("mirror_dropped_total",
			"Requests that were chosen to be copied and do not count: too many copies were under way, the body was too large or broke off, or the request took longer than a copy is waited for."),
		retries: desc("retries_total",
			"Requests that were sent to another instance of the revision because one was gone."),
		inFlight: desc("requests_in_flight",
			"Requests under way."),
		weight: desc("weight",
			"The revision's part of the sum of its route's weights."),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.requests, c.duration, c.mirrored, c.mirroredDuration, c.original, c.originalDuration, c.dropped, c.retries, c.inFlight, c.weight,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	snap := c.server.snapshot(readMetrics)
	for _, s := range snap.Series {
		values := []string{s.Route, string(s.Revision), string(s.Deployment), string(s.Release)}
		collectTally(ch, s.Client, snap.Bounds, c.requests, c.duration, values)
		collectTally(ch, s.Mirrored, snap.Bounds, c.mirrored, c.mirroredDuration, values)
		collectTally(ch, s.Original, snap.Bounds, c.original, c.originalDuration, values)
		ch <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(s.Dropped), values...)
		ch <- prometheus.MustNewConstMetric(c.retries, prometheus.CounterValue, float64(s.Retries), values...)
		ch <- prometheus.MustNewConstMetric(c.inFlight, prometheus.GaugeValue, float64(s.InFlight), values...)
		ch <- prometheus.MustNewConstMetric(c.weight, prometheus.GaugeValue, float64(s.Weight), values...)
	}
}

func collectTally(ch chan<- prometheus.Metric, t route.Tally, bounds []float64, requests, duration *prometheus.Desc, values []string) {
	for _, class := range route.Classes() {
		with := append(values[:len(values):len(values)], string(class))
		ch <- prometheus.MustNewConstMetric(requests, prometheus.CounterValue, float64(t.Requests[class]), with...)
	}
	within, all := t.Shown(bounds)
	buckets := make(map[float64]uint64, len(within))
	for _, b := range within {
		buckets[b.Bound] = b.Requests
	}
	ch <- prometheus.MustNewConstHistogram(duration, all, t.Seconds, buckets, values...)
}
