package towpath

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Weekdays are the days of a window, in their order.
func Weekdays() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

var clock = regexp.MustCompile(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)

// ClockFault is what is wrong with a time of the day at which a window starts, or
// ends.
func ClockFault(text string, starts bool) *Fault {
	if clock.MatchString(text) && (!starts || text != "24:00") {
		return nil
	}
	return &Fault{Message: fmt.Sprintf("%q is no time of the day", short(text)), Hint: `write hours and minutes: "09:00", "17:30"`}
}

// DateFault is what is wrong with a day of the calendar.
func DateFault(text string) *Fault {
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return &Fault{Message: fmt.Sprintf("%q is no date", short(text)), Hint: `write year, month and day: "2026-12-24"`}
	}
	return nil
}

// ZoneFault is what is wrong with the name of a time zone.
func ZoneFault(name string) *Fault {
	if _, err := time.LoadLocation(name); err != nil || name == "Local" || name == "" || len(name) > maxText {
		return &Fault{Message: fmt.Sprintf("there is no time zone %q", short(name)), Hint: "use a name such as Europe/Vienna or UTC"}
	}
	return nil
}

// windowFaults finds what is wrong with the windows of an environment, each alone
// and then together.
func windowFaults(f *faults, windows []Window) {
	if len(windows) > MaxWindows {
		f.say("gates.windows", "there are %d windows, and at most %d are allowed", len(windows), MaxWindows)
		return
	}
	before := len(*f)
	zones := map[string]*Fault{"": nil} // each is looked up once
	for i, w := range windows {
		at := fmt.Sprintf("gates.windows[%d]", i)
		known := len(*f)
		if _, seen := zones[w.Timezone]; !seen {
			zones[w.Timezone] = ZoneFault(w.Timezone)
		}
		f.at(at+".timezone", zones[w.Timezone])
		w.faults(f, at)
		if len(*f) == known {
			f.at(at, w.Unreachable())
		}
	}
	if len(*f) > before {
		return
	}
	for _, i := range Covered(windows) {
		f.at(fmt.Sprintf("gates.windows[%d]", i), CoveredFault())
	}
}

// faults finds what is wrong with each of a window's fields but its time zone.
func (w Window) faults(f *faults, at string) {
	oneOf(f, at+".kind", w.Kind, WindowAllow, WindowDeny)
	each(f, at+".days", w.Days, func(day string) *Fault {
		if slices.Contains(Weekdays(), day) {
			return nil
		}
		return &Fault{Message: fmt.Sprintf("there is no day %q", short(day))}
	})
	if w.Start != "" {
		f.at(at+".start", ClockFault(w.Start, true))
	}
	if w.End != "" {
		f.at(at+".end", ClockFault(w.End, false))
	}
	if w.From != "" {
		f.at(at+".from", DateFault(w.From))
	}
	if w.To != "" {
		f.at(at+".to", DateFault(w.To))
	}
	if w.Reason != "" {
		f.at(at+".reason", TextFault(w.Reason))
	}
}

// Unreachable is the fault of a window that no moment is in, and of one that closes
// the environment for ever. Its fields are right by themselves.
func (w Window) Unreachable() *Fault {
	start, end := w.span()
	from, to := day(w.From), day(w.To)
	switch {
	case start == end:
		return &Fault{Message: "the window starts and ends at the same time: no moment is in it", Hint: "leave both out for the whole day"}
	case !from.IsZero() && !to.IsZero() && to.Before(from):
		return &Fault{Message: fmt.Sprintf("the window ends on %s, before it begins on %s", w.To, w.From), Hint: "exchange from and to"}
	case !from.IsZero() && !to.IsZero() && !w.anyDay(from, to):
		return &Fault{Message: fmt.Sprintf("none of its days is between %s and %s: no moment is in the window", w.From, w.To), Hint: "take days out, or change the dates"}
	case w.Kind == WindowDeny && len(w.Days)%7 == 0 && w.To == "" && start == 0 && end == minutesOfDay:
		return &Fault{Message: "the window denies every promotion for ever", Hint: "give it days, times or a last day; towpath freeze stops promotions for now"}
	}
	return nil
}

const (
	minutesOfDay  = 24 * 60
	minutesOfWeek = 7 * minutesOfDay
)

// span is the start and the end of a window in minutes of the day.
func (w Window) span() (start, end int) {
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
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (w Window) anyDay(from, to time.Time) bool {
	for i := 0; i < 7 && !from.AddDate(0, 0, i).After(to); i++ {
		if len(w.Days) == 0 || slices.Contains(w.Days, Weekdays()[(from.AddDate(0, 0, i).Weekday()+6)%7]) {
			return true
		}
	}
	return false
}

// Covered are the allow windows that deny windows without dates, in the same time
// zone, leave no minute of the week of. The fields of all are right by themselves.
func Covered(windows []Window) []int {
	denied := map[string]*[minutesOfWeek]bool{} // by time zone
	for _, w := range windows {
		if w.Kind != WindowDeny || w.From != "" || w.To != "" {
			continue
		}
		closed := denied[w.zone()]
		if closed == nil {
			closed = new([minutesOfWeek]bool)
			denied[w.zone()] = closed
		}
		for minute := range w.week() {
			closed[minute] = true
		}
	}
	var out []int
	for i, w := range windows {
		if closed := denied[w.zone()]; w.Kind == WindowAllow && closed != nil && !w.opens(closed) {
			out = append(out, i)
		}
	}
	return out
}

// opens reports whether a minute of the window is not closed.
func (w Window) opens(closed *[minutesOfWeek]bool) bool {
	for minute := range w.week() {
		if !closed[minute] {
			return true
		}
	}
	return false
}

// CoveredFault is the fault of each of the windows that [Covered] finds.
func CoveredFault() *Fault {
	return &Fault{Message: "deny windows cover all of this window: it never opens", Hint: "change its times or theirs"}
}

func (w Window) zone() string {
	if w.Timezone == "" {
		return "UTC"
	}
	return w.Timezone
}

// week are the minutes of the week, from Monday 00:00 on, that are in the window.
func (w Window) week() iter.Seq[int] {
	return func(yield func(int) bool) {
		start, end := w.span()
		if end <= start {
			end += minutesOfDay
		}
		for i, name := range Weekdays() {
			if len(w.Days) > 0 && !slices.Contains(w.Days, name) {
				continue
			}
			for m := start; m < end; m++ {
				if !yield((i*minutesOfDay + m) % minutesOfWeek) {
					return
				}
			}
		}
	}
}
