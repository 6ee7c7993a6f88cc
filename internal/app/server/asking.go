package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towpath/towpath/internal/deploy"
)

// askingTimeout bounds how long one scrape looks for what waits for people.
const askingTimeout = 5 * time.Second

// asking shows where a deployment waits for a person: a series for each
// environment, by what the database says when it is scraped. So all servers of one
// database say the same.
type asking struct {
	desc *prometheus.Desc
	read func(context.Context) ([]deploy.Asking, error)
	log  *slog.Logger
}

func newAsking(read func(context.Context) ([]deploy.Asking, error), log *slog.Logger) *asking {
	return &asking{
		desc: prometheus.NewDesc("towpath_deployment_asks", "1 where a deployment does not go on until a person does something, or is paused; else 0.",
			[]string{"project", "environment"}, nil),
		read: read, log: log,
	}
}

// Describe implements [prometheus.Collector].
func (a *asking) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }

// Collect implements [prometheus.Collector]. When the database does not answer
// these series are missing, and the others are there.
func (a *asking) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askingTimeout)
	defer cancel()
	all, err := a.read(ctx)
	if err != nil {
		a.log.WarnContext(ctx, "what waits for people is not among the metrics", "err", err)
		return
	}
	for _, x := range all {
		v := 0.0
		if x.Asks {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, v, string(x.Project), string(x.Environment))
	}
}
