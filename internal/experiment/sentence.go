package experiment

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// missing says what it would take to say anything.
func (f Finding) missing(e Evidence, m Metric, spans int, over float64) string {
	why := errored(e, m.Name)
	if why != "" && f.Spans == 0 {
		return "No evidence: nothing could be read, at last because " + why + "."
	}
	s := fmt.Sprintf("No evidence: it takes %d spans of time and %s of each release; there are %d, with %s of %s and %s of %s.",
		spans, number(over), f.Spans, number(f.OverNew), e.New, number(f.OverOld), e.Old)
	if why != "" {
		s += " Some could not be read: " + why + "."
	}
	return s
}

// errored is why a metric could not be read, the last time that it could not.
func errored(e Evidence, name string) string {
	for i := len(e.Intervals) - 1; i >= 0; i-- {
		if why := e.Intervals[i].Readings[name].Errored; why != "" {
			return why
		}
	}
	return ""
}

// found says what was found, with the numbers.
func (f Finding) found(e Evidence, m Metric) string {
	what := m.Of
	if what != "" {
		what = " " + what
	}
	values := fmt.Sprintf("%s%s of %s beside %s of %s", m.show(f.New), what, e.New, m.show(f.Old), e.Old)
	within := fmt.Sprintf("the difference lies between %s and %s", m.signed(*f.From), m.signed(*f.To))
	switch f.Outcome {
	case NewBetter:
		return fmt.Sprintf("%s is better: %s; %s (%s).", e.New, values, within, certainty(f.Certainty))
	case OldBetter:
		return fmt.Sprintf("%s is better: %s; %s (%s).", e.Old, values, within, certainty(f.Certainty))
	}
	return fmt.Sprintf("No difference found: %s; %s.", values, within)
}

// certainty is a level in words and rounded down.
func certainty(c float64) string {
	word := "likely"
	switch {
	case c >= 0.999:
		return "almost certain: more than 99.9 %"
	case c >= 0.99:
		word = "very likely"
	}
	return fmt.Sprintf("%s: %.1f %%", word, math.Floor(c*1000)/10)
}

// sentence sums a report up.
func (r Report) sentence() string {
	by := map[Outcome][]string{}
	for _, f := range r.Findings {
		by[f.Outcome] = append(by[f.Outcome], f.Metric)
	}
	var parts []string
	say := func(o Outcome, format string, args ...any) {
		if names := by[o]; len(names) > 0 {
			parts = append(parts, fmt.Sprintf(format, args...)+strings.Join(names, ", "))
		}
	}
	say(NewBetter, "%s is better on ", r.New)
	say(OldBetter, "%s is better on ", r.Old)
	say(NoDifference, "no difference was found on ")
	say(NoEvidence, "there is no evidence on ")
	if len(parts) == 0 {
		return "Nothing is compared."
	}
	return sentence(strings.Join(parts, "; "))
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

func (m Metric) show(v float64) string {
	if m.Share {
		return number(v*100) + " %"
	}
	return strings.TrimSpace(number(v) + " " + m.Unit)
}

// signed is a difference of two values.
func (m Metric) signed(v float64) string {
	s := m.show(v)
	if m.Share {
		s = number(v*100) + " percentage points"
	}
	if v > 0 {
		s = "+" + s
	}
	return s
}

// number is a number with four digits that count, and no more noughts than that
// takes.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := 4 - int(math.Floor(math.Log10(math.Abs(v)))) - 1
	s := strconv.FormatFloat(v, 'f', min(max(digits, 0), 12), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// caveats are what the numbers of a report don't say.
func caveats(e Evidence, r Report) []string {
	var out []string
	if !r.Over {
		out = append(out, fmt.Sprintf("It has been seen for %s of the %s that it was to take.", r.Seen.Round(time.Second), e.For))
	}
	if e.Chosen {
		out = append(out, fmt.Sprintf("Some requests went to %s because of what they are. They are counted, and may differ from the others whatever the releases do.", e.New))
	}
	if e.Sticky {
		out = append(out, "Clients stayed with the release that they had. With few of them, a difference between clients looks like one between the releases.")
	}
	return out
}
