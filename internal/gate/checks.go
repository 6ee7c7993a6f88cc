package gate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// checks wants every external check that the rules name to have succeeded for
// this candidate. The latest status of a key decides, whether it was posted
// for this environment or for all; of two at the same time the worse one. A
// failure waits rather than denies: the check can be run and posted again.
func checks(in Input) finding {
	need := slices.Compact(slices.Sorted(slices.Values(in.Environment.Rules.Gates.Checks)))
	seen := map[string]any{}
	inputs := map[string]any{"required": need, "seen": seen}
	if len(need) == 0 {
		return allow(inputs, fmt.Sprintf("%s asks for no external checks.", in.Environment.Name))
	}
	var good, open []string
	for _, key := range need {
		c, ok := latestCheck(in, key)
		if !ok {
			open = append(open, fmt.Sprintf("The check %s has not been posted for %s.", key, label(in)))
			continue
		}
		seen[key] = c
		if c.State == towpath.CheckSuccess {
			good = append(good, fmt.Sprintf("The check %s succeeded.", key))
			continue
		}
		open = append(open, fmt.Sprintf("The check %s %s%s.", key, stateOf(c.State), because(c.Description)))
	}
	if len(open) > 0 {
		return wait(inputs, "whoever runs the checks posts their outcome; a failed one counts again once it is posted as success", append(open, good...)...)
	}
	return allow(inputs, good...)
}

func latestCheck(in Input, key string) (latest towpath.Check, ok bool) {
	for _, c := range in.Checks {
		if c.Key != key || c.Candidate != in.Candidate.ID || c.Project != in.Promotion.Project ||
			(c.Environment != "" && c.Environment != in.Environment.Name) {
			continue
		}
		if !ok || laterCheck(c, latest) > 0 {
			latest, ok = c, true
		}
	}
	return latest, ok
}

func laterCheck(a, b towpath.Check) int {
	return cmp.Or(a.At.Compare(b.At),
		rank(a.State != towpath.CheckSuccess)-rank(b.State != towpath.CheckSuccess),
		cmp.Compare(a.State, b.State), cmp.Compare(a.Environment, b.Environment),
		cmp.Compare(a.Description, b.Description), cmp.Compare(a.By, b.By), cmp.Compare(a.URL, b.URL))
}

func stateOf(s towpath.CheckState) string {
	switch s {
	case towpath.CheckPending:
		return "is still running"
	case towpath.CheckFailure:
		return "failed"
	case towpath.CheckError:
		return "could not be carried out"
	default:
		return fmt.Sprintf("is in the unknown state %q", s)
	}
}
