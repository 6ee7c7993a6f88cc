package deploy

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// tally is a transaction that keeps the counts of one deployment.
type tally struct {
	Tx
	d      towpath.Deployment
	counts []towpath.TrafficCount
}

func (c *tally) Environment(context.Context, towpath.ProjectName, towpath.EnvironmentName) (towpath.Environment, error) {
	return towpath.Environment{Active: c.d.ID}, nil
}

func (c *tally) Deployment(context.Context, towpath.DeploymentID) (towpath.Deployment, error) {
	return c.d, nil
}

func (c *tally) TrafficCountSpan(context.Context, towpath.DeploymentID, towpath.ComponentName) (first time.Time, last towpath.TrafficCount, err error) {
	if len(c.counts) == 0 {
		return first, last, nil
	}
	return c.counts[0].Received, c.counts[len(c.counts)-1], nil
}

func (c *tally) InsertTrafficCount(_ context.Context, _ towpath.DeploymentID, x towpath.TrafficCount) error {
	c.counts = append(c.counts, x)
	slices.SortStableFunc(c.counts, func(a, b towpath.TrafficCount) int { return a.Received.Compare(b.Received) })
	return nil
}
func (c *tally) ForgetTrafficCounts(context.Context, time.Time) error     { return nil }
func (c *tally) Enqueue(context.Context, string, string, time.Time) error { return nil }
func (c *tally) Running(context.Context, towpath.ProjectName, towpath.EnvironmentName) ([]rollout.Running, error) {
	return []rollout.Running{{Component: "api", Revision: "old", Unsure: true}}, nil
}

var midnight = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newTally has a canary that is counted every second.
func newTally() *tally {
	return &tally{d: towpath.Deployment{ID: "dep_1", Phase: towpath.DeploymentSwitching, Components: []towpath.Rollout{{
		Component: "api", From: "old", To: "new", Canary: &towpath.Canary{
			Spec: towpath.RolloutSpec{Interval: time.Second}, Objectives: []towpath.Objective{{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.99}},
		},
	}}}}
}

// tell tells of what was counted by a second, when the clock of the place was
// ahead by some time.
func (c *tally) tell(t *testing.T, second int, ahead time.Duration, failed int, broken string) {
	t.Helper()
	c.tellAt(t, second, second, ahead, failed, broken)
}

func (c *tally) tellAt(t *testing.T, second, received int, ahead time.Duration, failed int, broken string) {
	t.Helper()
	n := uint64(100 * second)
	count := towpath.TrafficCount{
		Target: towpath.Target{Component: "api"}, At: midnight.Add(time.Duration(second)*time.Second + ahead), Bounds: []float64{1},
		Revisions: []towpath.RevisionCount{
			{Revision: "old", Weight: 50, Requests: n, Buckets: []uint64{n, 0}},
			{Revision: "new", Weight: 50, Requests: n, Failed: uint64(failed), Buckets: []uint64{n, 0}, Broken: broken},
		},
	}
	s := New(Config{}, nil, nil, nil, nil)
	if err := s.count(t.Context(), c, count, nil, midnight.Add(time.Duration(received)*time.Second)); err != nil {
		t.Fatal(err)
	}
}

func (c *tally) judged(second int) *towpath.Judgement {
	return judge(&c.d, &c.d.Components[0], c.counts, nil, midnight.Add(time.Duration(second)*time.Second))
}

// TestJudge_SaysUntilWhen: by our clock, whatever the one of the place says, and
// however late we heard of it.
func TestJudge_SaysUntilWhen(t *testing.T) {
	type heard struct {
		second, received int
		ahead            time.Duration // of the clock of the place
	}
	for name, tt := range map[string]struct {
		heard []heard
		want  int // second
	}{
		"when it was counted":                               {[]heard{{1, 1, 0}, {2, 2, 0}, {3, 3, 0}}, 3},
		"by a clock that is ahead":                          {[]heard{{1, 1, time.Hour}, {2, 2, time.Hour}, {3, 3, time.Hour}}, 3},
		"by one that is behind":                             {[]heard{{1, 1, -time.Hour}, {2, 2, -time.Hour}, {3, 3, -time.Hour}}, 3},
		"not when it was heard, if that took long":          {[]heard{{1, 1, 0}, {2, 2, 0}, {3, 30, 0}}, 3},
		"nor when it took long by a clock that is ahead":    {[]heard{{1, 1, time.Hour}, {2, 2, time.Hour}, {3, 30, time.Hour}}, 3},
		"when it was counted by a clock that was put back":  {[]heard{{1, 1, time.Hour}, {2, 2, time.Hour}, {3, 3, 0}}, 3},
		"when it was counted by a clock that was put ahead": {[]heard{{1, 1, 0}, {2, 2, 0}, {3, 3, time.Hour}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			c, last := newTally(), heard{}
			for _, last = range tt.heard {
				c.tellAt(t, last.second, last.received, last.ahead, 0, "")
			}
			j := c.judged(last.received)
			if j == nil || !j.Counted.Equal(midnight.Add(time.Duration(tt.want)*time.Second)) {
				t.Errorf("wanted second %d: %+v", tt.want, j)
			}
			if at := midnight.Add(time.Duration(last.second)*time.Second + last.ahead); j != nil && !j.Until.Equal(at) {
				t.Errorf("it is until %s by the clock of the place", j.Until)
			}
		})
	}
}

// TestNext_AFaultBeginsWhileNobodyLooks: the server was away when a step would have
// ended, and its last verdict is from before. What the router counted meanwhile
// sends the new revision back.
func TestNext_AFaultBeginsWhileNobodyLooks(t *testing.T) {
	c := newTally()
	r := &c.d.Components[0]
	r.Canary.Spec = towpath.RolloutSpec{Interval: time.Second, Deadline: time.Minute, Steps: []towpath.RolloutStep{{Weight: 50, For: 6 * time.Second}}}
	r.Steps = []towpath.Step{{Verb: towpath.VerbShift, Weight: 50, Phase: towpath.OperationSucceeded, Ended: midnight}}
	next := func(second int) rollout.Decision {
		return rollout.Next(&c.d, rollout.Seen{Now: midnight.Add(time.Duration(second) * time.Second), Judgements: map[towpath.ComponentName]*towpath.Judgement{"api": c.judged(second)}})
	}
	for i := range 4 {
		c.tell(t, i, 0, 0, "")
	}
	if dec := next(7); len(dec.Issue) > 0 || dec.Trigger != "" {
		t.Errorf("the step ends on what was counted until its third second: %+v", dec)
	}
	c.tell(t, 8, 0, 300, "")
	if dec := next(8); len(dec.Issue) > 0 || dec.Trigger != "" && dec.Trigger != towpath.TriggerWorse {
		t.Errorf("the step ends on failures: %+v", dec)
	}
	c.tell(t, 9, 0, 360, "")
	if dec := next(9); dec.Trigger != towpath.TriggerWorse {
		t.Errorf("it does not go back: %+v", dec)
	}
}

// requests are those of the new revision that the analysis is given.
func (c *tally) requests() (n float64) {
	for _, iv := range Evidence(&c.d.Components[0], c.counts, nil).Intervals {
		n += iv.Readings["errors"].Canary.Total
	}
	return n
}

func TestService_count(t *testing.T) {
	t.Run("a clock that was ahead for a moment blinds nobody", func(t *testing.T) {
		c := newTally()
		for i := range 200 {
			ahead := time.Duration(0)
			if i < 20 {
				ahead = time.Hour
			}
			c.tell(t, i, ahead, max(0, 50*(i-60)), "")
		}
		if len(c.counts) != 200 {
			t.Errorf("%d of 200 counts are kept", len(c.counts))
		}
		if j := c.judged(199); j == nil || j.Outcome != towpath.JudgedWorse {
			t.Errorf("what fails half of its requests is judged %+v", j)
		}
		if n := c.requests(); n != 19800 { // but those between the two clocks
			t.Errorf("%v requests are evidence", n)
		}
	})
	t.Run("what broke after the clock was put right goes back", func(t *testing.T) {
		c := newTally()
		c.tell(t, 1, time.Hour, 0, "")
		c.tell(t, 2, 0, 0, "its process ended")
		if j := c.judged(2); j == nil || j.Outcome != towpath.JudgedWorse {
			t.Errorf("it is judged %+v", j)
		}
	})
	t.Run("a count that is told twice counts once", func(t *testing.T) {
		c := newTally()
		for i := range 4 {
			c.tell(t, i, 0, 0, "")
		}
		c.tellAt(t, 3, 6, 0, 0, "its process ended")
		c.tell(t, 7, 0, 0, "")
		if len(c.counts) != 5 || c.requests() != 700 {
			t.Errorf("%d counts of %v requests, wanted 5 of 700", len(c.counts), c.requests())
		}
	})
	t.Run("one that comes after the next is left out", func(t *testing.T) {
		c := newTally()
		for _, i := range []int{1, 2, 5} {
			c.tell(t, i, 0, 0, "")
		}
		c.tellAt(t, 3, 8, 0, 0, "its process ended")
		c.tell(t, 9, 0, 0, "")
		if len(c.counts) != 4 || c.requests() != 800 {
			t.Errorf("%d counts of %v requests, wanted 4 of 800", len(c.counts), c.requests())
		}
		if j := c.judged(9); j != nil && j.Outcome == towpath.JudgedWorse {
			t.Errorf("it is judged %+v", j)
		}
	})
	t.Run("a clock that is put back a little goes on where nothing was asked", func(t *testing.T) {
		c := newTally()
		for i := range 3 {
			c.tellAt(t, 1, i+1, time.Duration(-5*i)*time.Second, 0, "")
		}
		if len(c.counts) != 3 {
			t.Errorf("%d of 3 counts are kept", len(c.counts))
		}
	})
	t.Run("what comes too soon is left out", func(t *testing.T) {
		c := newTally()
		c.d.Components[0].Canary.Spec.Interval = 10 * time.Second
		for i := range 21 {
			c.tell(t, i, 0, 0, "")
		}
		if len(c.counts) != 3 {
			t.Errorf("%d counts are kept, wanted one in ten", len(c.counts))
		}
	})
}
