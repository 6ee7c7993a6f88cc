package server

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/towpath"
)

// metricSource is an entry of the file of metric sources.
type metricSource struct {
	Project   towpath.ProjectName `json:"project,omitempty"` // empty: every one
	Place     towpath.PlaceName   `json:"place,omitempty"`   // empty: every one
	URL       string              `json:"url"`
	TokenFile string              `json:"tokenFile,omitempty"` // relative to the file
}

// metricSources are the sources that objectives are asked of.
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
		source, err := promql.NewHTTP(promql.HTTPConfig{URL: e.URL, TokenFile: e.TokenFile})
		if err != nil {
			return nil, err
		}
		out = append(out, promql.Rule{Project: e.Project, Place: e.Place, Source: source})
	}
	return out, nil
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
