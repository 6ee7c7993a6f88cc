package promql_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/towpath"
)

// TestSources_AnswerOfTheTargetAlone: our own engine has what the agents of all
// places pushed, and answers a target of itself only, whatever the query says.
func TestSources_AnswerOfTheTargetAlone(t *testing.T) {
	e := embedded(t, promql.EmbeddedConfig{})
	of := func(value float64, project, environment, component string, more ...string) towpath.MetricSample {
		return sample(value, append([]string{"__name__", "a", "revision", "rev_1", "project", project, "environment", environment, "component", component}, more...)...)
	}
	must(e.Append(t.Context(), noon, []towpath.MetricSample{
		of(1, "shop", "dev", "api"), of(10, "shop", "prod", "api"), of(100, "shop", "dev", "web"), of(1000, "other", "dev", "api"),
		sample(10_000, "__name__", "a", "revision", "rev_1"),
	}))(t)
	target := towpath.Target{Project: "shop", Environment: "dev", Component: "api", Place: "eu", Slot: towpath.SlotMain}
	ours := promql.Sources{{Source: e}}
	for query, want := range map[string][]float64{
		`sum(a{revision="rev_1"})`:                                 {1},
		`count(a)`:                                                 {1},
		`count({__name__=~".+"})`:                                  {1},
		`sum(a{project="other"})`:                                  nil,
		`a{environment="prod"}`:                                    nil,
		`a{component=~"api|web"}`:                                  {1},
		`a{component="web"} or a{component=""}`:                    nil,
		`max(sum_over_time(a[1m])) + sum(max_over_time(a[1m:1s]))`: {2},
		`sum(a) - sum(a{project=~"shop|other"})`:                   {0},
		`sum(a{project="other"}) or vector(7)`:                     {7},
	} {
		var got []float64
		for _, s := range must(ours.Query(t.Context(), target, query, noon.Add(time.Second)))(t) {
			got = append(got, s.Value)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", query, d)
		}
	}
	for _, query := range []string{"sum(", `info(a)`} { // the latter reads what no selector names
		if _, err := ours.Query(t.Context(), target, query, noon); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("%s: %v", query, err)
		}
	}
	t.Run("a source of others is asked what is written", func(t *testing.T) {
		got := must(promql.Sources{{Source: e, Foreign: true}}.Query(t.Context(), target, "sum(a)", noon))(t)
		if len(got) != 1 || got[0].Value != 11_111 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("the first rule that fits decides", func(t *testing.T) {
		s := promql.Sources{{Project: "shop", Place: "us", Source: e, Foreign: true}, {Project: "other", Source: e, Foreign: true}, {Project: "shop", Place: "eu", Source: e}}
		if got := must(s.Query(t.Context(), target, "sum(a)", noon))(t); len(got) != 1 || got[0].Value != 1 {
			t.Errorf("got %v", got)
		}
		target.Place = "moon"
		if _, err := s.Query(t.Context(), target, "sum(a)", noon); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("got %v", err)
		}
	})
}
