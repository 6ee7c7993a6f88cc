package rest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics measures requests by route, never by path: a path has IDs in it.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "towpath_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "towpath_http_request_seconds", Help: "Time to answer a request, by route.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "towpath_http_requests_in_flight", Help: "Requests being answered.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inFlight} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// begin measures one request until the func that it returns is called.
func (m *metrics) begin(start time.Time) func(end time.Time, pattern string, status int) {
	m.inFlight.Inc()
	return func(end time.Time, pattern string, status int) {
		m.inFlight.Dec()
		if pattern == "" {
			pattern = "none"
		}
		if status == 0 {
			status = http.StatusOK
		}
		m.requests.WithLabelValues(pattern, strconv.Itoa(status)).Inc()
		m.duration.WithLabelValues(pattern).Observe(end.Sub(start).Seconds())
	}
}
