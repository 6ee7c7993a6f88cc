package release

import (
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Retention when an environment's rules say nothing.
const (
	defaultKeep = 10
	defaultAge  = 30 * 24 * time.Hour
	// lastGood is how many of the last good releases of an environment are kept
	// whatever its rules say: what runs, and what a rollback would go to.
	lastGood = 2
)

// history is what retention knows of one environment.
type history struct {
	rule  towpath.RetentionRule
	runs  []towpath.Run    // newest first
	inUse []towpath.Digest // that run, wait or are being deployed
	// quarantined are those of the runs that no rollback goes to.
	quarantined map[towpath.Digest]bool
}

// keeps is the environment's rule, with what it does not say.
func (h history) keeps() towpath.RetentionRule {
	rule := h.rule
	if rule.Keep <= 0 {
		rule.Keep = defaultKeep
	}
	if rule.Age <= 0 {
		rule.Age = defaultAge
	}
	return rule
}

// why is why an environment needs a release, as a part of a sentence that begins
// with the environment; empty when it does not. One that failed and was rolled
// back is kept as any that ran, for who wants to know what happened; nothing goes
// back to it.
func (h history) why(d towpath.Digest, now time.Time) string {
	if inUse([]history{h})[d] {
		return "runs it or may go back to it"
	}
	if keep, _ := needed([]history{h}, now); keep[d] {
		rule := h.keeps()
		return fmt.Sprintf("ran it, and its rule of retention keeps the last %d releases that it ran and what ended within %d days",
			rule.Keep, int(rule.Age.Hours()/24))
	}
	return ""
}

// retained decides which releases keep their layers: what is in use, the last
// good ones, and as many and as long as each environment's rule says. A
// release that ran nowhere is kept as long as the most patient environment
// keeps its own, since it was brought last.
func retained(brought map[towpath.Digest]time.Time, environments []history, now time.Time) map[towpath.Digest]bool {
	keep, patience := needed(environments, now)
	for d, at := range brought {
		if now.Sub(at) <= patience {
			keep[d] = true
		}
	}
	return keep
}

// needed is what environments need by their rules, and how long the most
// patient of them keeps what ran in it.
func needed(environments []history, now time.Time) (keep map[towpath.Digest]bool, patience time.Duration) {
	keep = map[towpath.Digest]bool{}
	patience = defaultAge
	for _, h := range environments {
		rule := h.keeps()
		patience = max(patience, rule.Age)
		for _, d := range h.inUse {
			keep[d] = true
		}
		seen, good := map[towpath.Digest]bool{}, map[towpath.Digest]bool{}
		for _, r := range h.runs {
			first := !seen[r.Release]
			seen[r.Release] = true
			if first && len(seen) <= rule.Keep || r.Ended.IsZero() || now.Sub(r.Ended) <= rule.Age {
				keep[r.Release] = true
			}
			if r.Verified && !h.quarantined[r.Release] && !good[r.Release] && len(good) < lastGood {
				good[r.Release] = true
				keep[r.Release] = true
			}
		}
	}
	return keep, patience
}

// inUse are the releases that run, are on their way, or would be gone back to,
// whatever the rules of retention say.
func inUse(environments []history) map[towpath.Digest]bool {
	out := map[towpath.Digest]bool{}
	for _, h := range environments {
		for _, d := range h.inUse {
			out[d] = true
		}
		good := map[towpath.Digest]bool{}
		for _, r := range h.runs {
			if r.Ended.IsZero() {
				out[r.Release] = true
			}
			if r.Verified && !h.quarantined[r.Release] && !good[r.Release] && len(good) < lastGood {
				good[r.Release], out[r.Release] = true, true
			}
		}
	}
	return out
}
