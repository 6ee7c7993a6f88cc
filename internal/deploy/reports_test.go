package deploy

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/towpath"
)

// kept is a store that has the evidence of experiments, and counts who reads it.
type kept struct {
	Tx
	evidence experiment.Evidence
	read     int
}

func (k *kept) Experiment(context.Context, towpath.DeploymentID) (experiment.Evidence, bool, error) {
	k.read++
	return k.evidence, true, nil
}

// hour is an experiment of an hour, an interval a second.
func hour() experiment.Evidence {
	e := experiment.Evidence{Old: "1.0.0", New: "1.1.0", Share: 50, For: time.Hour, Metrics: []experiment.Metric{{Name: "errors", Better: experiment.Less, Share: true}}}
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for i := range 3600 {
		at := noon.Add(time.Duration(i) * time.Second)
		e.Intervals = append(e.Intervals, experiment.Interval{Start: at, End: at.Add(time.Second), Readings: map[string]experiment.Reading{
			"errors": {Old: experiment.Sample{Sum: float64(i % 3), Over: 50}, New: experiment.Sample{Sum: float64(i % 2), Over: 50}},
		}})
	}
	return e
}

// TestReports: what is over is judged once, what goes on at each look.
func TestReports(t *testing.T) {
	store := &kept{evidence: hour()}
	d := towpath.Deployment{ID: "dep_1", Phase: towpath.DeploymentConcluded, Components: []towpath.Rollout{{Component: "api"}}, Experiment: &towpath.Experiment{Share: 50}}
	var all reports
	first, err := all.of(t.Context(), store, &d)
	if err != nil || first.Report.Sentence == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := all.of(t.Context(), store, &d)
	if err != nil || again.Report.Sentence != first.Report.Sentence || again.Deployment != "dep_1" || store.read != 1 {
		t.Errorf("read %d times, %+v, %v", store.read, again, err)
	}
	d.ID, d.Phase = "dep_2", towpath.DeploymentSwitching
	for range 2 {
		if _, err := all.of(t.Context(), store, &d); err != nil {
			t.Fatal(err)
		}
	}
	if store.read != 3 {
		t.Errorf("what goes on was read %d times", store.read-1)
	}
	for i := range maxReports + 1 {
		d.ID, d.Phase = towpath.DeploymentID("dep_more_"+time.Duration(i).String()), towpath.DeploymentConcluded
		store.evidence.Intervals = nil
		if _, err := all.of(t.Context(), store, &d); err != nil {
			t.Fatal(err)
		}
	}
	if len(all.all) > maxReports {
		t.Errorf("%d reports are remembered", len(all.all))
	}
}

// BenchmarkReports is a list of 20 experiments of an hour each.
func BenchmarkReports(b *testing.B) {
	store := &kept{evidence: hour()}
	list := func(b *testing.B, all *reports) {
		b.Helper()
		for i := range 20 {
			d := towpath.Deployment{ID: towpath.DeploymentID(rune('a' + i)), Phase: towpath.DeploymentConcluded, Components: []towpath.Rollout{{}}, Experiment: &towpath.Experiment{}}
			if _, err := all.of(b.Context(), store, &d); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("for the first time", func(b *testing.B) {
		for b.Loop() {
			list(b, &reports{})
		}
	})
	b.Run("again", func(b *testing.B) {
		var all reports
		list(b, &all)
		for b.Loop() {
			list(b, &all)
		}
	})
}
