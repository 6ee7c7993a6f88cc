package promql_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/promql"
	"github.com/towpath/towpath/internal/towpath"
)

// count is what count(a) is at a moment.
func count(t *testing.T, s promql.Source, at time.Time) int {
	t.Helper()
	got := must(s.Query(t.Context(), "count(a)", at))(t)
	if len(got) == 0 {
		return 0
	}
	return int(got[0].Value)
}

// TestEmbedded_BoundsItsSeries: what is new is left out and counted; what is
// known goes on.
func TestEmbedded_BoundsItsSeries(t *testing.T) {
	e := embedded(t, promql.EmbeddedConfig{MaxSeries: 10})
	var many []towpath.MetricSample
	for i := range 15 {
		many = append(many, sample(float64(i), "__name__", "a", "i", fmt.Sprint(i)))
	}
	for round := range 3 {
		at := noon.Add(time.Duration(round) * time.Second)
		if left := must(e.Append(t.Context(), at, many))(t); left != 5 {
			t.Errorf("%d were left out", left)
		}
		if n := count(t, e, at.Add(10*time.Millisecond)); n != 10 {
			t.Errorf("%d series", n)
		}
	}
}

// TestEmbedded_KeepsWhatItTook: a restart loses no sample.
func TestEmbedded_KeepsWhatItTook(t *testing.T) {
	cfg := promql.EmbeddedConfig{Dir: filepath.Join(t.TempDir(), "metrics")}
	for round := range 3 {
		e := must(promql.OpenEmbedded(cfg))(t)
		must(e.Append(t.Context(), noon, []towpath.MetricSample{sample(1, "__name__", "a", "i", fmt.Sprint(round))}))(t)
		if n := count(t, e, noon.Add(time.Second)); n != round+1 {
			t.Errorf("round %d: %d series", round, n)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEmbedded_ReadsMoreThanItTakes: what is on disk is not given up for the limit of
// series, which holds again for what comes.
func TestEmbedded_ReadsMoreThanItTakes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "metrics")
	series := func(n int) (out []towpath.MetricSample) {
		for i := range n {
			out = append(out, sample(float64(i), "__name__", "a", "i", fmt.Sprint(i)))
		}
		return out
	}
	for round, most := range []int{15, 15, 10} { // room for all, none, and too little
		e := must(promql.OpenEmbedded(promql.EmbeddedConfig{Dir: dir, MaxSeries: most}))(t)
		at := noon.Add(time.Duration(round) * time.Second)
		if n := count(t, e, at); n != 15 && round > 0 {
			t.Errorf("of %d, with room for %d: %d series are left", 15, most, n)
		}
		if left := must(e.Append(t.Context(), at, series(17)))(t); left != 2 {
			t.Errorf("with room for %d: %d were left out", most, left)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir + ".unreadable"); !os.IsNotExist(err) {
		t.Errorf("the folder was set aside: %v", err)
	}
}

// TestEmbedded_BeginsAnewWhenItCantRead: samples are evidence for minutes, and no
// reason not to serve.
func TestEmbedded_BeginsAnewWhenItCantRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "metrics")
	if err := os.WriteFile(dir, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := must(promql.OpenEmbedded(promql.EmbeddedConfig{Dir: dir}))(t)
	must(e.Append(t.Context(), noon, []towpath.MetricSample{sample(1, "__name__", "a")}))(t)
	if n := count(t, e, noon.Add(time.Second)); n != 1 {
		t.Errorf("%d series", n)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(dir + ".unreadable"); err != nil || string(b) != "no folder" {
		t.Errorf("what could not be read is gone: %v", err)
	}
}

// TestEmbedded_ForgetsWhatFellSilent: what has stopped pushing says nothing.
func TestEmbedded_ForgetsWhatFellSilent(t *testing.T) {
	e := embedded(t, promql.EmbeddedConfig{})
	must(e.Append(t.Context(), noon, []towpath.MetricSample{sample(1, "__name__", "a")}))(t)
	for after, want := range map[time.Duration]int{time.Second: 1, 59 * time.Second: 1, 61 * time.Second: 0} {
		if n := count(t, e, noon.Add(after)); n != want {
			t.Errorf("after %s: %d series", after, n)
		}
	}
}

// TestEmbedded_TakesSamplesOfOneMoment: two agents may push in the same
// millisecond.
func TestEmbedded_TakesSamplesOfOneMoment(t *testing.T) {
	e := embedded(t, promql.EmbeddedConfig{})
	for i := range 3 {
		if left := must(e.Append(t.Context(), noon, []towpath.MetricSample{sample(float64(i), "__name__", "a")}))(t); left > 0 {
			t.Errorf("push %d was left out", i)
		}
	}
	if got := must(e.Query(t.Context(), "a", noon.Add(time.Second)))(t); len(got) != 1 || got[0].Value != 2 {
		t.Errorf("got %v", got)
	}
}
