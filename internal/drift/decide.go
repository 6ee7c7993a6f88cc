package drift

import (
	"fmt"
	"slices"
	"strings"
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
	stay := func(why string, again time.Time) Decision {
		return Decision{State: towpath.DriftFound, Why: why, Again: again}
	}
	switch {
	case !Repairable(d.Differences):
		return stay(NotRepairable(d.Differences), time.Time{})
	case s.Policy != towpath.DriftRepair:
		return stay(lastFailed(d)+"The component's policy is to report drift: nothing is done by itself. `towpath repair` replaces what differs.", time.Time{})
	}
	if n := repaired(d, now, l); n >= l.Flaps {
		return Decision{State: towpath.DriftFlapping, Why: fmt.Sprintf(
			"It was repaired %s within %s and changed back each time, so it is left alone. Find out who changes it, then repair it: `towpath repair` begins the count anew.", times(n), span(l.Window))}
	}
	if again := next(d, l); now.Before(again) { // whatever was seen since
		return Decision{State: towpath.DriftBackOff, Why: failed(d.Repairs[len(d.Repairs)-1].Failed), Again: again}
	}
	if s.Busy != "" {
		return stay(lastFailed(d)+"A repair waits: "+s.Busy+".", s.Until)
	}
	return Decision{State: towpath.DriftRepairing, Repair: true}
}

// lastFailed is the sentence on the last repair, if that failed.
func lastFailed(d towpath.Drift) string {
	if n := len(d.Repairs); n > 0 && d.Repairs[n-1].Failed != "" {
		return failed(d.Repairs[n-1].Failed) + " "
	}
	return ""
}

func failed(why string) string {
	return "The last repair did not succeed: " + strings.TrimRight(why, ". ") + "."
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// span is a duration without the zeros at its end: 1h, not 1h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
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

// failures counts the repairs that failed since the last one that did not.
func failures(all []towpath.RepairAttempt) int {
	n := 0
	for i := len(all) - 1; i >= 0 && all[i].Failed != ""; i-- {
		n++
	}
	return n
}

// next is when the next repair may be begun by itself after those that failed;
// zero: now.
func next(d towpath.Drift, l Limits) time.Time {
	n := failures(d.Repairs)
	if n == 0 {
		return time.Time{}
	}
	return d.Repairs[len(d.Repairs)-1].Ended.Add(min(l.Backoff<<min(n-1, 16), l.BackoffMax))
}

// remembered are the repairs that still count: those of late, and the failures
// at their end, all of which make the pause, until none was added to them for so
// long that they are no matter for what happens now.
func remembered(all []towpath.RepairAttempt, now time.Time, l Limits) []towpath.RepairAttempt {
	last := len(all)
	if n := failures(all); n > 0 && now.Sub(all[last-1].Ended) <= l.BackoffMax+l.Window {
		last -= n
	}
	out := slices.DeleteFunc(slices.Clone(all[:last]), func(r towpath.RepairAttempt) bool { return now.Sub(r.Ended) > l.Window })
	return append(out, all[last:]...)
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
	d.State, d.Why, d.Again, d.Clean, d.Files, d.Beside = towpath.DriftRepairing, "", time.Time{}, time.Time{}, time.Time{}, towpath.Suspicion{}
	return d
}

// Anew is the record of a target of which nothing that was seen so far counts.
// Whether it differs the next looks say, from the beginning.
func Anew(d towpath.Drift) towpath.Drift {
	return towpath.Drift{Target: d.Target, Revision: d.Revision, State: towpath.DriftNone, Told: d.Told, Repairs: d.Repairs}
}

// Ended notes the end of a repair; why says why it did not succeed. Whether
// the drift is gone the next looks say, from the beginning: what was seen before
// the repair ended counts for nothing.
func Ended(d towpath.Drift, id towpath.DeploymentID, why string, now time.Time, l Limits) towpath.Drift {
	i := len(d.Repairs) - 1
	if i < 0 || d.Repairs[i].Deployment != id || !d.Repairs[i].Ended.IsZero() {
		return d
	}
	d.Repairs = slices.Clone(d.Repairs)
	d.Repairs[i].Ended, d.Repairs[i].Failed = now, why
	if d.State != towpath.DriftRepairing {
		return d
	}
	if why == "" {
		return Anew(d)
	}
	d.State, d.Why, d.Again = towpath.DriftBackOff, failed(why), next(d, l)
	return d
}
