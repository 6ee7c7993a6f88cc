package promql_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	upstream "github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fill gives samples to a source that is made for a test.
type fill func(at time.Time, samples ...towpath.MetricSample)

func sample(value float64, labels ...string) towpath.MetricSample {
	s := towpath.MetricSample{Labels: map[string]string{}, Value: value}
	for i := 0; i < len(labels); i += 2 {
		s.Labels[labels[i]] = labels[i+1]
	}
	return s
}

func embedded(t *testing.T, cfg promql.EmbeddedConfig) *promql.Embedded {
	t.Helper()
	cfg.Dir = filepath.Join(t.TempDir(), "metrics")
	e, err := promql.OpenEmbedded(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// prometheus serves the real HTTP API of Prometheus on loopback.
func prometheusAPI(t *testing.T) (*httptest.Server, fill) {
	t.Helper()
	db := must(tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil))(t)
	t.Cleanup(func() { _ = db.Close() })
	engine := upstream.NewEngine(upstream.EngineOpts{MaxSamples: 10_000, Timeout: 2 * time.Second, EnableAtModifier: true, Parser: parser.NewParser(parser.Options{})})
	api := apiv1.NewAPI(engine, db, nil, nil, nil, nil, nil, nil,
		func() config.Config { return config.Config{} }, nil, apiv1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f }, nil, "", false, false, 0,
		slog.New(slog.DiscardHandler), nil, 0, 0, 0, false, nil, nil, nil, nil, nil, prometheus.NewRegistry(), nil, nil,
		false, nil, false, false, false, false, time.Minute, false, false, nil, nil, apiv1.OpenAPIOptions{}, parser.NewParser(parser.Options{}))
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	srv := httptest.NewServer(router)
	t.Cleanup(srv.Close)
	return srv, func(at time.Time, samples ...towpath.MetricSample) {
		app := db.Appender(t.Context())
		for _, s := range samples {
			must(app.Append(0, labels.FromMap(s.Labels), at.UnixMilli(), s.Value))(t)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestSource is what every source holds to.
func TestSource(t *testing.T) {
	kinds := map[string]func(*testing.T) (promql.Source, fill){
		"embedded": func(t *testing.T) (promql.Source, fill) {
			e := embedded(t, promql.EmbeddedConfig{Limits: promql.Limits{Samples: 1000}})
			return e, func(at time.Time, samples ...towpath.MetricSample) {
				t.Helper()
				if left := must(e.Append(t.Context(), at, samples))(t); left > 0 {
					t.Fatalf("%d samples were left out", left)
				}
			}
		},
		"over HTTP": func(t *testing.T) (promql.Source, fill) {
			srv, add := prometheusAPI(t)
			return must(promql.NewHTTP(promql.HTTPConfig{URL: srv.URL, Limits: promql.Limits{Samples: 1000}}))(t), add
		},
		"of another server": func(t *testing.T) (promql.Source, fill) {
			db := clocked{dbtest.SQLite(t), new(noon)}
			told, asked := db.server(t, promql.EmbeddedConfig{}), db.server(t, promql.EmbeddedConfig{Limits: promql.Limits{Samples: 1000}})
			return asked, func(at time.Time, samples ...towpath.MetricSample) {
				t.Helper()
				*db.at = at
				if left := must(told.Append(t.Context(), samples))(t); left > 0 {
					t.Fatalf("%d samples were left out", left)
				}
			}
		},
	}
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) { conforms(t, open) })
	}
}

func conforms(t *testing.T, open func(*testing.T) (promql.Source, fill)) {
	query := func(t *testing.T, s promql.Source, q string, at time.Time) []towpath.MetricSample {
		t.Helper()
		got := must(s.Query(t.Context(), q, at))(t)
		slices.SortFunc(got, func(a, b towpath.MetricSample) int { return strings.Compare(a.Labels["r"], b.Labels["r"]) })
		return got
	}
	fails := func(t *testing.T, s promql.Source, q string, kind towpath.Kind) {
		t.Helper()
		_, err := s.Query(t.Context(), q, noon)
		if towpath.KindOf(err) != kind {
			t.Errorf("%s: %v, and %s is wanted", q, err, kind)
		}
	}
	t.Run("answers the last value of each series", func(t *testing.T) {
		s, add := open(t)
		add(noon.Add(-10*time.Second), sample(1, "__name__", "a", "r", "old"), sample(7, "__name__", "a", "r", "new"))
		add(noon.Add(-5*time.Second), sample(3, "__name__", "a", "r", "old"))
		want := []towpath.MetricSample{sample(7, "__name__", "a", "r", "new"), sample(3, "__name__", "a", "r", "old")}
		if d := cmp.Diff(want, query(t, s, "a", noon)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]towpath.MetricSample{sample(1, "__name__", "a", "r", "old")}, query(t, s, `a{r="old"}`, noon.Add(-6*time.Second))); d != "" {
			t.Errorf("before: %s", d)
		}
	})
	t.Run("no data is an empty answer and no error", func(t *testing.T) {
		s, add := open(t)
		add(noon.Add(-10*time.Minute), sample(1, "__name__", "a"))
		for _, q := range []string{"b", "a", "sum(rate(b[1m]))", `sum(increase(a{r="none"}[5s]))`} {
			if got := query(t, s, q, noon); len(got) != 0 {
				t.Errorf("%s: %v", q, got)
			}
		}
	})
	t.Run("counts with increase and quantiles with buckets", func(t *testing.T) {
		s, add := open(t)
		for i := range 61 {
			at := noon.Add(time.Duration(i-60) * time.Second)
			add(at, sample(float64(2*i), "__name__", "n_total", "r", "new"), sample(float64(i), "__name__", "d_bucket", "le", "0.1"), sample(float64(4*i), "__name__", "d_bucket", "le", "+Inf"))
		}
		got := query(t, s, `sum(increase(n_total{r="new"}[10000ms]))`, noon)
		if len(got) != 1 || got[0].Value < 19.9 || got[0].Value > 20.1 {
			t.Errorf("increase: %v", got)
		}
		if got := query(t, s, `sum by (le) (d_bucket)`, noon); len(got) != 2 || got[0].Labels["le"] == "" {
			t.Errorf("buckets: %v", got)
		}
	})
	t.Run("answers scalars and what is no number", func(t *testing.T) {
		s, add := open(t)
		add(noon, sample(0, "__name__", "a"))
		if got := query(t, s, "1.5", noon); len(got) != 1 || got[0].Value != 1.5 || len(got[0].Labels) != 0 {
			t.Errorf("scalar: %v", got)
		}
		if got := query(t, s, "a / a", noon); len(got) != 1 || got[0].Value == got[0].Value {
			t.Errorf("0/0: %v", got)
		}
	})
	t.Run("answers ranges by steps", func(t *testing.T) {
		s, add := open(t)
		for i := range 5 {
			add(noon.Add(time.Duration(i)*time.Second), sample(float64(i), "__name__", "a"))
		}
		got := must(s.Range(t.Context(), "a", noon, noon.Add(4*time.Second), 2*time.Second))(t)
		want := []promql.Series{{Labels: map[string]string{"__name__": "a"}, Points: []promql.Point{
			{noon, 0}, {noon.Add(2 * time.Second), 2}, {noon.Add(4 * time.Second), 4},
		}}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
	t.Run("refuses what is no query, and says why", func(t *testing.T) {
		s, add := open(t)
		add(noon, sample(1, "__name__", "a", "r", "x"), sample(1, "__name__", "a", "r", "y"))
		fails(t, s, "sum(", towpath.KindInvalid)
		fails(t, s, "a + on() a", towpath.KindInvalid)
		_, err := s.Query(t.Context(), "rate(a)", noon)
		if m, _ := towpath.PublicMessage(err); !strings.Contains(m, "refuses the query") || !strings.Contains(m, "range vector") {
			t.Errorf("it says %q", m)
		}
	})
	t.Run("bounds its answer", func(t *testing.T) {
		s, add := open(t)
		var many []towpath.MetricSample
		for i := range 1001 {
			many = append(many, sample(1, "__name__", "a", "r", strings.Repeat("x", i)))
		}
		add(noon, many...)
		fails(t, s, "a", towpath.KindExhausted)
		if got := query(t, s, "count(a)", noon); len(got) != 1 || got[0].Value != 1001 {
			t.Errorf("what sums up: %v", got)
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		s, add := open(t)
		add(noon, sample(1, "__name__", "a"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Query(ctx, "a", noon); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
	})
}
