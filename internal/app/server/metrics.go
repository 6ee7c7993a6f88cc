package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// pushed keeps what agents push, as of now.
type pushed struct {
	engine *promql.Embedded
	now    func() time.Time
}

// Append implements [deploy.Samples].
func (p pushed) Append(ctx context.Context, samples []towpath.MetricSample) (int, error) {
	return p.engine.Append(ctx, p.now(), samples)
}

// metricSource is an entry of the file of metric sources.
type metricSource struct {
	Project   towpath.ProjectName `json:"project,omitempty"` // empty: every one
	Place     towpath.PlaceName   `json:"place,omitempty"`   // empty: every one
	URL       string              `json:"url"`
	TokenFile string              `json:"tokenFile,omitempty"` // relative to the file
	Username  string              `json:"username,omitempty"`  // of whom the file has the password
	Headers   map[string]string   `json:"headers,omitempty"`   // sent with every query
}

// metricSources are the sources that objectives are asked of: those that were
// named, and else the engine in this process.
func (s *Server) metricSources() (promql.Sources, error) {
	entries, err := readMetricSources(s.cfg.MetricsSources)
	if err != nil {
		return nil, err
	}
	if s.cfg.MetricsURL != "" {
		entries = append(entries, metricSource{URL: s.cfg.MetricsURL, TokenFile: s.cfg.MetricsToken})
	} else if s.cfg.MetricsToken != "" {
		return nil, towpath.E(towpath.KindInvalid, "server.start", "there is a token for a metric source and no URL").
			WithHint("give --metrics-url too")
	}
	var out promql.Sources
	for _, e := range entries {
		source, err := promql.NewHTTP(promql.HTTPConfig{URL: e.URL, TokenFile: e.TokenFile, Username: e.Username, Headers: e.Headers})
		if err != nil {
			return nil, err
		}
		out = append(out, promql.Rule{Project: e.Project, Place: e.Place, Source: source, Foreign: true})
	}
	if s.cfg.MetricsURL != "" {
		return out, nil
	}
	own, err := s.openMetrics()
	return append(out, promql.Rule{Source: own}), err
}

// openMetrics opens the engine in this process. Several servers of one database
// hand each other what they are told.
func (s *Server) openMetrics() (promql.Source, error) {
	log := s.cfg.Log.With("of", "metrics")
	dir, err := s.metricsFolder()
	if err != nil {
		return nil, err
	}
	s.metrics, err = promql.OpenEmbedded(promql.EmbeddedConfig{Dir: dir, Retention: s.cfg.MetricsRetention, Log: log})
	if err != nil {
		return nil, err
	}
	if s.db.Dialect() == sqldb.SQLite {
		s.samples = pushed{s.metrics, s.cfg.Now}
		return s.metrics, nil
	}
	shared := promql.NewShared(promql.SharedConfig{Now: s.cfg.Now, Log: log}, s.metrics, store.NewSampleBatches(s.db))
	s.samples = shared
	s.sharing = []reconcile.Task{{Name: "samples", Run: reconcile.NewLoop(
		reconcile.LoopConfig{Name: "samples", Interval: time.Second, Now: s.cfg.Now, Log: log},
		func(ctx context.Context, _ time.Time) (bool, error) { return shared.Pass(ctx) }).Run}}
	return shared, nil
}

// maxMetricsFolders bounds how many servers may share one data folder.
const maxMetricsFolders = 32

// metricsFolder is where this server's engine keeps its samples: a folder that
// has one engine at a time. Servers of one database share the data folder (ADR
// 0011), so each takes the first that nobody has.
func (s *Server) metricsFolder() (string, error) {
	first := filepath.Join(s.cfg.Data, "metrics")
	if s.db.Dialect() == sqldb.SQLite { // which has one server
		return first, nil
	}
	for i := range maxMetricsFolders {
		dir := first
		if i > 0 {
			dir = fmt.Sprintf("%s-%d", first, i+1)
		}
		f, err := lockFile(dir)
		if towpath.KindOf(err) == towpath.KindLocked {
			continue
		}
		s.metricsLock = f
		return dir, err
	}
	return "", towpath.E(towpath.KindExhausted, "server.start", "%d servers have their samples in this data folder", maxMetricsFolders).On(s.cfg.Data).
		WithHint("stop one, or name a source that all of them ask with --metrics-url")
}

// readMetricSources reads the file of metric sources: a JSON list of entries.
func readMetricSources(path string) ([]metricSource, error) {
	const op = "server.start"
	if path == "" {
		return nil, nil
	}
	wrong := func(err error) error {
		return towpath.E(towpath.KindInvalid, op, "the file of metric sources can't be read").On(path).WithCause(err).
			WithHint(`it is a JSON list: [{"project": "shop", "place": "local", "url": "https://prometheus.example.com", "tokenFile": "token"}]`)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, wrong(err)
	}
	defer f.Close()
	var out []metricSource
	d := json.NewDecoder(io.LimitReader(f, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		return nil, wrong(err)
	}
	if d.More() {
		return nil, wrong(errors.New("there is more after the list"))
	}
	for i := range out {
		if t := out[i].TokenFile; t != "" && !filepath.IsAbs(t) {
			out[i].TokenFile = filepath.Join(filepath.Dir(path), t)
		}
	}
	return out, nil
}
