package gate

import (
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// old reports whether a scan is too old for a rule.
func old(rule towpath.ScanRule, a towpath.Attestation, now time.Time) bool {
	return rule.MaxAge > 0 && now.Sub(saidAt(a)) > rule.MaxAge
}

// Rescans says, as sentences, which scans of what runs in an environment the gate
// scan would ask for today: those that were never made, and those that are too
// old. Without a rule there are none.
func Rescans(env towpath.Environment, said []towpath.Attestation, now time.Time) (due []string) {
	rule := env.Rules.Gates.Scan
	if rule == nil || env.Release == "" {
		return nil
	}
	newest := newestScans(counted(*rule, said))
	for _, tool := range missingTools(*rule, newest) {
		due = append(due, fmt.Sprintf("%s was never scanned by %s, with a key that counts.", env.Version, tool))
	}
	for _, a := range newest {
		if old(*rule, a, now) {
			due = append(due, fmt.Sprintf("The last scan of %s by %s is %s old (%s), and it may be at most %s old.",
				env.Version, a.Scan.Tool, roughly(now.Sub(saidAt(a))), moment(saidAt(a)), roughly(rule.MaxAge)))
		}
	}
	if n := len(due) - shown; n > 0 {
		due = append(due[:shown], fmt.Sprintf("There are %d more.", n))
	}
	return due
}

// roughly shows a long time without minutes.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		out := count(int(d/day), "day")
		if rest := d % day; rest >= time.Hour {
			out += " and " + count(int(rest/time.Hour), "hour")
		}
		return out
	case d >= 2*time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return span(d.Truncate(time.Minute))
}
