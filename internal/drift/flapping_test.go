package drift

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestLimits_Flapping: however long a difference has to be seen, what changes back
// each time is left alone in the end.
func TestLimits_Flapping(t *testing.T) {
	for _, rules := range []*towpath.DriftRules{
		nil, {Debounce: 30 * time.Minute}, {Debounce: time.Hour}, {Debounce: 10 * time.Minute, Repairs: towpath.MaxRepairs}, {Debounce: time.Hour, Repairs: 1, Window: time.Minute},
	} {
		l := limits.With(rules)
		d, now, repairs := towpath.Drift{State: towpath.DriftNone}, noon, 0
		for d.State != towpath.DriftFlapping && now.Sub(noon) < 48*time.Hour {
			now = now.Add(10 * time.Second)
			d, _ = See(d, Look{Found: edited(), Files: now}, now, l)
			dec := Decide(d, Situation{Policy: towpath.DriftRepair}, now, l)
			if d.State, d.Why, d.Again = dec.State, dec.Why, dec.Again; !dec.Repair {
				continue
			}
			id := towpath.DeploymentID(now.String())
			d = Begun(d, towpath.RepairAttempt{Deployment: id, Began: now}, false)
			now = now.Add(2 * time.Minute)
			d, repairs = Ended(d, id, "", now, l), repairs+1
		}
		if d.State != towpath.DriftFlapping || repairs != l.Flaps {
			t.Errorf("with %+v it is %s after %d repairs", rules, d.State, repairs)
		}
	}
}
