package gate

import (
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// soak wants the candidate to have run in `from` for long enough without a
// break. The longest single verified stay counts: stays are not added up,
// since ten restarts of a minute do not show what ten minutes do. A stay that
// ended counts its own length.
func soak(in Input) finding {
	rules := in.Environment.Rules
	need := rules.Gates.Soak
	inputs := map[string]any{"from": rules.From, "soak": need.String(), "candidate": in.Candidate.ID}
	if need <= 0 {
		return allow(inputs, fmt.Sprintf("%s asks for no soak time.", in.Environment.Name))
	}
	if rules.From == "" {
		return deny(inputs, "give the environment a from, or take soak out of its gates",
			fmt.Sprintf("%s asks for soak time and names no environment to soak in.", in.Environment.Name))
	}
	longest, open := longestStay(in)
	inputs["longest"] = longest.String()
	if longest >= need && !open.IsZero() && in.Now.Sub(open) == longest {
		return allow(inputs, fmt.Sprintf("%s has run in %s since %s; %s are asked for.", label(in), rules.From, moment(open), span(need)))
	}
	if longest >= need {
		return allow(inputs, fmt.Sprintf("%s ran in %s for %s; %s are asked for.", label(in), rules.From, span(longest), span(need)))
	}
	if open.IsZero() {
		if longest == 0 {
			return wait(inputs, fmt.Sprintf("it begins when %s runs verified in %s", label(in), rules.From),
				fmt.Sprintf("%s has not begun to soak in %s; %s are asked for.", label(in), rules.From, span(need)))
		}
		return deny(inputs, fmt.Sprintf("towpath promote %s --to %s lets it soak again", label(in), rules.From),
			fmt.Sprintf("%s ran in %s for %s of the %s that are asked for, and no longer runs there.",
				label(in), rules.From, span(longest), span(need)))
	}
	f := wait(inputs, "it opens by itself", fmt.Sprintf("%s has run in %s since %s; %s are asked for, so it opens at %s.",
		label(in), rules.From, moment(open), span(need), moment(open.Add(need))))
	f.until = open.Add(need)
	return f
}

// longestStay is the longest verified stay so far, and when the earliest one
// that still lasts began.
func longestStay(in Input) (longest time.Duration, open time.Time) {
	for _, r := range upstreamRuns(in) {
		if !r.Verified || r.Doubt != "" {
			continue
		}
		end := r.Ended
		if end.IsZero() {
			end = in.Now
			if open.IsZero() || r.Began.Before(open) {
				open = r.Began
			}
		}
		longest = max(longest, end.Sub(r.Began))
	}
	return longest, open
}

// moment shows a time. What is said of a promotion says when, not how long ago: it
// would be new at every look, and each new word is an event.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span shows a duration without needless zeros: "10m", "1h30m", "12s".
func span(d time.Duration) string {
	d = max(0, d.Truncate(time.Second))
	s := d.String()
	if d >= time.Minute && d%time.Minute == 0 {
		s = s[:len(s)-len("0s")]
	}
	if d >= time.Hour && d%time.Hour == 0 {
		s = s[:len(s)-len("0m")]
	}
	return s
}

// label is what people call the candidate.
func label(in Input) string {
	if in.Candidate.Version != "" {
		return in.Candidate.Version
	}
	return towpath.Short(in.Candidate.ID)
}
