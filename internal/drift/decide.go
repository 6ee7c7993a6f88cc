package drift

import (
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Situation is what else is known of a target when it is decided what to do.
type Situation struct {
	Policy towpath.DriftPolicy
	// Busy says, as the end of a sentence, what keeps a repair from being begun:
	// a deployment, a freeze. Empty: nothing. Whoever ends that asks again, unless
	// Until says when it ends by itself.
	Busy  string
	Until time.Time
}

// Decision is what to do about drift now.
type Decision struct {
	State  towpath.DriftState
	Repair bool
	Why    string    // why nothing is repaired
	Again  time.Time // when to decide again although nothing happened; zero: no need
}

// Decide says what to do about the drift of a target. It changes nothing for
// drift that is only suspected, or that a repair is at work on.
func Decide(d towpath.Drift, s Situation, now time.Time, l Limits) Decision {
	keep := Decision{State: d.State, Why: d.Why, Again: d.Again}
	if !d.State.Standing() || d.State == towpath.DriftRepairing || d.State == towpath.DriftFlapping {
		return keep
	}
	if d.State == towpath.DriftBackOff && now.Before(d.Again) {
		return keep
	}
	stay := func(why string, again time.Time) Decision {
		return Decision{State: towpath.DriftFound, Why: why, Again: again}
	}
	switch {
	case !Repairable(d.Differences):
		return stay("Replacing what runs would not help; the router takes the address as soon as it is free. `ss -ltnp` on its host shows who has it.", time.Time{})
	case s.Policy != towpath.DriftRepair:
		return stay("The component's policy is to report drift; `towpath repair` replaces what differs.", time.Time{})
	}
	if n := repaired(d, now, l); n >= l.Flaps {
		return Decision{State: towpath.DriftFlapping, Why: fmt.Sprintf(
			"It was repaired %d times within %s and changed back each time: it is left alone until a person repairs it (`towpath repair`) or it is as it should be.", n, l.Window)}
	}
	if s.Busy != "" {
		return stay("A repair waits: "+s.Busy+".", s.Until)
	}
	return Decision{State: towpath.DriftRepairing, Repair: true}
}

// repaired counts the repairs of late that succeeded.
func repaired(d towpath.Drift, now time.Time, l Limits) int {
	n := 0
	for _, r := range d.Repairs {
		if r.Failed == "" && !r.Ended.IsZero() && now.Sub(r.Ended) <= l.Window {
			n++
		}
	}
	return n
}

// keepAttempts bounds how many repairs are remembered.
const keepAttempts = 20

// Begun notes a repair that was begun. One that a person asked for begins the
// count anew.
func Begun(d towpath.Drift, r towpath.RepairAttempt, person bool) towpath.Drift {
	if person {
		d.Repairs = nil
	}
	d.Repairs = append(slices.Clone(d.Repairs[max(0, len(d.Repairs)-keepAttempts):]), r)
	d.State, d.Why, d.Again, d.Clean = towpath.DriftRepairing, "", time.Time{}, time.Time{}
	return d
}

// Ended notes the end of a repair; failed says why it did not succeed. Whether
// the drift is gone the next looks say, from the beginning: what was seen before
// the repair ended counts for nothing.
func Ended(d towpath.Drift, id towpath.DeploymentID, failed string, now time.Time, l Limits) towpath.Drift {
	i := len(d.Repairs) - 1
	if i < 0 || d.Repairs[i].Deployment != id || !d.Repairs[i].Ended.IsZero() {
		return d
	}
	d.Repairs = slices.Clone(d.Repairs)
	d.Repairs[i].Ended, d.Repairs[i].Failed = now, failed
	if d.State != towpath.DriftRepairing {
		return d
	}
	if failed == "" {
		return towpath.Drift{Target: d.Target, Revision: d.Revision, State: towpath.DriftNone, Told: d.Told, Repairs: d.Repairs}
	}
	n := 0
	for ; i >= 0 && d.Repairs[i].Failed != ""; i-- {
		n++
	}
	d.State, d.Again = towpath.DriftBackOff, now.Add(min(l.Backoff<<min(n-1, 16), l.BackoffMax))
	d.Why = "A repair did not succeed, and what ran before it runs: " + failed + "."
	return d
}
