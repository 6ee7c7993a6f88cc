package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// dayMinutes is the wall-clock length of a day.
const dayMinutes = 24 * 60

// window is a rule made ready to be asked. It is open while the clock on the
// wall of its time zone shows a time in it: an hour that the change to summer
// time skips is not in any window, one that the change back repeats is in it
// twice.
type window struct {
	rule       towpath.Window
	zone       *time.Location
	days       []time.Weekday
	start, end int // minutes of the day; end ≤ start is on the next day
	from, to   time.Time
}

// Weekdays maps the names of days in windows to weekdays.
func Weekdays() map[string]time.Weekday {
	return map[string]time.Weekday{
		"mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday,
		"fri": time.Friday, "sat": time.Saturday, "sun": time.Sunday,
	}
}

func parseWindow(r towpath.Window) (window, error) {
	w := window{rule: r, end: dayMinutes}
	var err error
	if r.Kind != towpath.WindowAllow && r.Kind != towpath.WindowDeny {
		return w, fmt.Errorf("its kind is %q", r.Kind)
	}
	zone := r.Timezone
	if zone == "" {
		zone = "UTC"
	}
	if w.zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
		return w, fmt.Errorf("the time zone %q is not known", zone)
	}
	for _, d := range r.Days {
		day, ok := Weekdays()[d]
		if !ok {
			return w, fmt.Errorf("there is no day %q", d)
		}
		w.days = append(w.days, day)
	}
	if w.start, err = minutes(r.Start, 0); err != nil {
		return w, err
	}
	if w.end, err = minutes(r.End, dayMinutes); err != nil {
		return w, err
	}
	if w.start == w.end {
		return w, fmt.Errorf("it starts and ends at %s", r.Start)
	}
	if w.from, err = date(r.From); err != nil {
		return w, err
	}
	if w.to, err = date(r.To); err != nil {
		return w, err
	}
	if !w.from.IsZero() && !w.to.IsZero() && w.to.Before(w.from) {
		return w, fmt.Errorf("it ends on %s, before it begins on %s", r.To, r.From)
	}
	return w, nil
}

// minutes reads "09:00"; "24:00" is the end of the day.
func minutes(s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	if s == "24:00" {
		return dayMinutes, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, fmt.Errorf("%q is no time of the day", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// date reads "2026-12-20" as that day's midnight in UTC.
func date(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("%q is no date", s)
	}
	return t, nil
}

// covers reports whether t is in the window. What goes on past midnight
// belongs to the day on which it began.
func (w window) covers(t time.Time) bool {
	local := t.In(w.zone)
	m := local.Hour()*60 + local.Minute()
	today := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
	if w.start < w.end {
		return w.start <= m && m < w.end && w.on(today)
	}
	return (m >= w.start && w.on(today)) || (m < w.end && w.on(today.AddDate(0, 0, -1)))
}

// on reports whether the window begins on a day, given as its midnight in UTC.
func (w window) on(day time.Time) bool {
	return (len(w.days) == 0 || slices.Contains(w.days, day.Weekday())) &&
		(w.from.IsZero() || !day.Before(w.from)) && (w.to.IsZero() || !day.After(w.to))
}

// boundaries are the moments between two times at which the window may open or
// close: its start and end on every day under each offset that the zone has
// around then, midnights, and the changes of the zone's offset.
func (w window) boundaries(after, before time.Time) []time.Time {
	var out []time.Time
	for t := after; ; {
		_, change := t.In(w.zone).ZoneBounds()
		if change.IsZero() || change.After(before) {
			break
		}
		out = append(out, change)
		t = change
	}
	first := after.In(w.zone)
	day := time.Date(first.Year(), first.Month(), first.Day()-1, 0, 0, 0, 0, time.UTC)
	for ; !day.After(before.AddDate(0, 0, 2)); day = day.AddDate(0, 0, 1) {
		for _, m := range []int{0, w.start, w.end} {
			wall := day.Add(time.Duration(m) * time.Minute)
			_, earlier := wall.AddDate(0, 0, -1).In(w.zone).Zone()
			_, later := wall.AddDate(0, 0, 1).In(w.zone).Zone()
			out = append(out, wall.Add(-time.Duration(earlier)*time.Second), wall.Add(-time.Duration(later)*time.Second))
		}
	}
	return out
}

// describe says when the window is: "on mon, tue from 09:00 to 16:00
// (Europe/Vienna)".
func (w window) describe() string {
	var parts []string
	if r := w.rule; r.From != "" || r.To != "" {
		switch {
		case r.To == "":
			parts = append(parts, "from "+r.From+" on")
		case r.From == "":
			parts = append(parts, "until "+r.To)
		default:
			parts = append(parts, "from "+r.From+" to "+r.To)
		}
	}
	if len(w.rule.Days) > 0 {
		parts = append(parts, "on "+strings.Join(w.rule.Days, ", "))
	}
	if w.rule.Start != "" || w.rule.End != "" {
		parts = append(parts, fmt.Sprintf("from %02d:%02d to %02d:%02d", w.start/60, w.start%60, w.end/60, w.end%60))
	}
	if len(parts) == 0 {
		parts = append(parts, "at all times")
	}
	return strings.Join(parts, ", ") + " (" + w.zone.String() + ")"
}
