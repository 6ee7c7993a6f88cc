package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// recoveries shows how fast releases that hurt are found out and gone back from.
func recoveries(registry *prometheus.Registry) func(detect, restore time.Duration) {
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "towpath", Subsystem: "rollback", Name: name, Help: help,
			Buckets: []float64{0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 900},
		})
	}
	detecting := histogram("detect_seconds", "From the first sign that a release hurts until it was found out, of deployments that went back by themselves.")
	restoring := histogram("restore_seconds", "From then until all of the traffic was back.")
	registry.MustRegister(detecting, restoring)
	return func(detect, restore time.Duration) {
		detecting.Observe(detect.Seconds())
		restoring.Observe(restore.Seconds())
	}
}
