package gate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// horizon is how far ahead the next opening is searched.
const horizon = 8 * 7 * 24 * time.Hour

// windows keeps promotions inside the allowed times and outside of denied ones
// and of freezes. It always waits, never denies: times pass and freezes are
// lifted. Until is when it next opens, if that is within eight weeks.
func windows(in Input) finding {
	freezes := freezesOf(in)
	rules := in.Environment.Rules.Gates.Windows
	inputs := map[string]any{"windows": rules, "freezes": freezes, "now": in.Now.UTC()}
	s, err := newSchedule(rules, freezes)
	if err != nil {
		return wait(inputs, "correct the window in the environment's gates and promote that by an environment without it",
			fmt.Sprintf("A window of %s can't be judged: %v.", in.Environment.Name, err))
	}
	closed := s.closed(in.Now)
	if len(closed) == 0 {
		if len(rules) == 0 {
			return allow(inputs, fmt.Sprintf("%s has no windows, and nothing is frozen.", in.Environment.Name))
		}
		return allow(inputs, fmt.Sprintf("The windows of %s are open, and nothing is frozen.", in.Environment.Name))
	}
	f := wait(inputs, "it opens by itself", closed...)
	f.until = s.opens(in.Now)
	if f.until.IsZero() {
		f.hint = "it does not open within eight weeks by itself; an operator can lift a freeze"
		f.reasons = append(f.reasons, "No opening is known for the next eight weeks.")
	}
	return f
}

// freezesOf are the freezes that concern the environment and are not over.
func freezesOf(in Input) []towpath.Freeze {
	out := slices.DeleteFunc(slices.Clone(in.Freezes), func(f towpath.Freeze) bool {
		return (f.Project != "" && f.Project != in.Promotion.Project) ||
			(f.Environment != "" && f.Environment != in.Environment.Name) ||
			(!f.Until.IsZero() && !in.Now.Before(f.Until))
	})
	slices.SortFunc(out, func(a, b towpath.Freeze) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.Project, b.Project), cmp.Compare(a.Environment, b.Environment),
			a.Until.Compare(b.Until), cmp.Compare(a.By, b.By), rank(a.Emergency)-rank(b.Emergency))
	})
	return out
}

// schedule is windows and freezes together.
type schedule struct {
	windows []window
	freezes []towpath.Freeze
	allows  bool // there is at least one allow window
}

func newSchedule(rules []towpath.Window, freezes []towpath.Freeze) (*schedule, error) {
	s := &schedule{freezes: freezes}
	for _, r := range rules {
		w, err := parseWindow(r)
		if err != nil {
			return nil, err
		}
		s.windows = append(s.windows, w)
		s.allows = s.allows || r.Kind == towpath.WindowAllow
	}
	return s, nil
}

// closed says why nothing passes at t; empty when it is open.
func (s *schedule) closed(t time.Time) []string {
	var why []string
	for _, f := range s.freezes {
		if t.Before(f.From) || (!f.Until.IsZero() && !t.Before(f.Until)) {
			continue
		}
		why = append(why, describeFreeze(f))
	}
	inside := false
	for _, w := range s.windows {
		switch covers := w.covers(t); {
		case covers && w.rule.Kind == towpath.WindowDeny:
			why = append(why, fmt.Sprintf("Promotions are denied %s%s.", w.describe(), because(w.rule.Reason)))
		case covers:
			inside = true
		}
	}
	if s.allows && !inside {
		for _, w := range s.windows {
			if w.rule.Kind == towpath.WindowAllow {
				why = append(why, fmt.Sprintf("Promotions are allowed %s%s.", w.describe(), because(w.rule.Reason)))
			}
		}
	}
	return why
}

func describeFreeze(f towpath.Freeze) string {
	what := "Promotions are frozen"
	switch {
	case f.Emergency:
		what = "Emergency stop: promotions are frozen"
	case f.Environment != "":
		what += fmt.Sprintf(" in %s", f.Environment)
	case f.Project != "":
		what += fmt.Sprintf(" in all of %s", f.Project)
	default:
		what += " everywhere"
	}
	end := " until it is lifted"
	if !f.Until.IsZero() {
		end = " until " + f.Until.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s%s, by %s: %s.", what, end, f.By, quote(f.Reason))
}

// opens is the first moment after now at which nothing is closed, or zero when
// there is none within the horizon.
func (s *schedule) opens(now time.Time) time.Time {
	var moments []time.Time
	for _, f := range s.freezes {
		moments = append(moments, f.Until)
	}
	for _, w := range s.windows {
		moments = append(moments, w.boundaries(now, now.Add(horizon))...)
	}
	slices.SortFunc(moments, time.Time.Compare)
	for _, t := range moments {
		if t.After(now) && !t.After(now.Add(horizon)) && len(s.closed(t)) == 0 {
			return t.UTC()
		}
	}
	return time.Time{}
}
