package projectfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

// maxWindows bounds the windows of one environment.
const maxWindows = 50

func weekdays() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

func readWindows(gates object) []towpath.Window {
	items := gates.list("windows")
	if len(items) > maxWindows {
		gates.r.problem(items[0].n, gates.at("windows"), fmt.Sprintf("there are %d windows, and at most %d are allowed", len(items), maxWindows), "put days with the same times into one window")
		return nil
	}
	var out []towpath.Window
	before := len(gates.r.problems)
	for _, e := range items {
		known := len(gates.r.problems)
		w := readWindow(gates.r, e)
		if len(gates.r.problems) == known {
			checkReachable(gates.r, e, w)
		}
		out = append(out, w)
	}
	if len(gates.r.problems) == before {
		checkCovered(gates.r, items, out)
	}
	return out
}

func readWindow(r *reader, e entry) towpath.Window {
	o := r.object(e.path, e.n)
	o.only("kind", "days", "start", "end", "from", "to", "timezone", "reason")
	o.need("kind", "say whether promotions are allowed or denied in it: kind: allow")
	w := towpath.Window{
		Kind:  choice(o, "kind", "", towpath.WindowAllow, towpath.WindowDeny),
		Start: readClock(o, "start"), End: readClock(o, "end"),
		From: readDate(o, "from"), To: readDate(o, "to"),
		Timezone: o.str("timezone", ""), Reason: o.str("reason", ""),
	}
	for _, d := range o.texts("days", true) {
		if !slices.Contains(weekdays(), d.n.text) {
			r.problem(d.n, d.path, fmt.Sprintf("there is no day %q", d.n.text), dayHint(d.n.text))
			continue
		}
		w.Days = append(w.Days, d.n.text)
	}
	if n, ok := o.value("days"); ok && n.kind == kindList && len(n.items) == 0 {
		r.problem(n, o.at("days"), "there are no days", "take days out for every day")
	}
	slices.SortFunc(w.Days, func(a, b string) int { return slices.Index(weekdays(), a) - slices.Index(weekdays(), b) })
	if n, ok := o.scalar("timezone", kindString, ""); ok {
		if _, err := time.LoadLocation(n.text); err != nil || n.text == "Local" || n.text == "" {
			r.problem(n, o.at("timezone"), fmt.Sprintf("there is no time zone %q", n.text), "use a name such as Europe/Vienna or UTC")
		}
	}
	return w
}

func dayHint(got string) string {
	if len(got) >= 3 && slices.Contains(weekdays(), lower(got[:3])) {
		return "did you mean " + lower(got[:3]) + "?"
	}
	return didyoumean.Hint(got, weekdays())
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

var clock = regexp.MustCompile(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)

func readClock(o object, key string) string {
	n, ok := o.scalar(key, kindString, `put the time in quotes: "09:00"`)
	if !ok {
		return ""
	}
	if !clock.MatchString(n.text) || (key == "start" && n.text == "24:00") {
		o.r.problem(n, o.at(key), fmt.Sprintf("%q is no time of the day", n.text), `write hours and minutes: "09:00", "17:30"`)
		return ""
	}
	return n.text
}

func readDate(o object, key string) string {
	n, ok := o.scalar(key, kindString, `put the date in quotes: "2026-12-24"`)
	if !ok {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, n.text); err != nil {
		o.r.problem(n, o.at(key), fmt.Sprintf("%q is no date", n.text), `write year, month and day: "2026-12-24"`)
		return ""
	}
	return n.text
}

// checkReachable reports a window that no moment is in, and one that closes
// the environment for ever.
func checkReachable(r *reader, e entry, w towpath.Window) {
	start, end := span(w)
	from, to := day(w.From), day(w.To)
	switch {
	case start == end:
		r.problem(e.n, e.path, "the window starts and ends at the same time: no moment is in it", "leave both out for the whole day")
	case !from.IsZero() && !to.IsZero() && to.Before(from):
		r.problem(e.n, e.path, fmt.Sprintf("the window ends on %s, before it begins on %s", w.To, w.From), "exchange from and to")
	case !from.IsZero() && !to.IsZero() && !anyDay(w, from, to):
		r.problem(e.n, e.path, fmt.Sprintf("none of its days is between %s and %s: no moment is in the window", w.From, w.To), "take days out, or change the dates")
	case w.Kind == towpath.WindowDeny && len(w.Days)%7 == 0 && w.To == "" && start == 0 && end == minutesOfDay:
		r.problem(e.n, e.path, "the window denies every promotion for ever", "give it days, times or a last day; towpath freeze stops promotions for now")
	}
}

const minutesOfDay = 24 * 60

// span is the start and the end of a window in minutes of the day.
func span(w towpath.Window) (start, end int) {
	end = minutesOfDay
	if w.Start != "" {
		start = clockMinutes(w.Start)
	}
	if w.End != "" {
		end = clockMinutes(w.End)
	}
	return start, end
}

func clockMinutes(s string) int {
	h, _ := strconv.Atoi(s[:2])
	m, _ := strconv.Atoi(s[3:])
	return h*60 + m
}

func day(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func anyDay(w towpath.Window, from, to time.Time) bool {
	for i := 0; i < 7 && !from.AddDate(0, 0, i).After(to); i++ {
		if len(w.Days) == 0 || slices.Contains(w.Days, weekdays()[(from.AddDate(0, 0, i).Weekday()+6)%7]) {
			return true
		}
	}
	return false
}

// checkCovered reports allow windows that deny windows without dates, in the
// same time zone, leave no minute of the week of.
func checkCovered(r *reader, items []entry, windows []towpath.Window) {
	for i, w := range windows {
		if w.Kind != towpath.WindowAllow {
			continue
		}
		open := week(w)
		denied := false
		for _, d := range windows {
			if d.Kind == towpath.WindowDeny && d.From == "" && d.To == "" && zone(d) == zone(w) {
				denied = true
				for m, closed := range week(d) {
					open[m] = open[m] && !closed
				}
			}
		}
		if denied && !slices.Contains(open, true) {
			r.problem(items[i].n, items[i].path, "deny windows cover all of this window: it never opens", "change its times or theirs")
		}
	}
}

func zone(w towpath.Window) string {
	if w.Timezone == "" {
		return "UTC"
	}
	return w.Timezone
}

// week marks the minutes of the week, from Monday 00:00 on, that are in a
// window.
func week(w towpath.Window) []bool {
	out := make([]bool, 7*minutesOfDay)
	start, end := span(w)
	if end <= start {
		end += minutesOfDay
	}
	for i, name := range weekdays() {
		if len(w.Days) > 0 && !slices.Contains(w.Days, name) {
			continue
		}
		for m := start; m < end; m++ {
			out[(i*minutesOfDay+m)%len(out)] = true
		}
	}
	return out
}
