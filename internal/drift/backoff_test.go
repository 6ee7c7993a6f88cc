package drift

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestDrift_CrashLoop has an instance crash again and again, which the agent
// starts again each time, as it does for each repair: that it is there for a
// moment takes nothing from the pause.
func TestDrift_CrashLoop(t *testing.T) {
	short := limits
	short.Window = 10 * time.Minute // shorter than the pauses
	for _, l := range []Limits{limits, short} {
		crashLoop(t, l)
	}
}

func crashLoop(t *testing.T, l Limits) {
	t.Helper()
	gone := []towpath.Difference{{Kind: towpath.DiffersInstances}}
	d, now := towpath.Drift{State: towpath.DriftNone}, noon
	var failed []time.Time
	for second := range 24 * 60 * 60 {
		now = noon.Add(time.Duration(second) * time.Second)
		var look Look
		if second%60 >= 10 {
			look.Found = gone
		}
		d, _ = See(d, look, now, l)
		dec := Decide(d, Situation{Policy: towpath.DriftRepair}, now, l)
		if !dec.Repair {
			d.State, d.Why, d.Again = dec.State, dec.Why, dec.Again
			continue
		}
		id := towpath.DeploymentID(now.String())
		d = Ended(Begun(d, towpath.RepairAttempt{Deployment: id, Began: now}, false), id, "an instance crashed", now, l)
		failed = append(failed, now)
	}
	for i := 1; i < len(failed); i++ {
		if pause, least := failed[i].Sub(failed[i-1]), min(l.Backoff<<min(i-1, 16), l.BackoffMax); pause < least || pause > least+2*time.Minute {
			t.Errorf("repair %d comes %s after the one before it, want %s", i+1, pause, least)
		}
	}
	if n := len(failed); n < 48 {
		t.Errorf("%d repairs in a day", n)
	}
	d, _ = See(towpath.Drift{State: towpath.DriftNone, Repairs: d.Repairs}, Look{}, now.Add(l.BackoffMax+l.Window+time.Hour), l)
	if len(d.Repairs) > 0 {
		t.Errorf("%d repairs are remembered for ever", len(d.Repairs))
	}
}
