package projectfile

import (
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

func readWindows(gates object) []towpath.Window {
	items := gates.list("windows")
	if len(items) > towpath.MaxWindows {
		gates.r.problem(items[0].n, gates.at("windows"), fmt.Sprintf("there are %d windows, and at most %d are allowed", len(items), towpath.MaxWindows), "put days with the same times into one window")
		return nil
	}
	var out []towpath.Window
	before := len(gates.r.problems)
	for _, e := range items {
		known := len(gates.r.problems)
		w := readWindow(gates.r, e)
		if len(gates.r.problems) == known {
			gates.r.fault(e.n, e.path, w.Unreachable())
		}
		out = append(out, w)
	}
	if len(gates.r.problems) == before {
		for _, i := range towpath.Covered(out) {
			gates.r.fault(items[i].n, items[i].path, towpath.CoveredFault())
		}
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
	if n, ok := o.value("reason"); ok && w.Reason != "" {
		r.fault(n, o.at("reason"), towpath.TextFault(w.Reason))
	}
	for _, d := range o.texts("days", true) {
		if !slices.Contains(towpath.Weekdays(), d.n.text) {
			r.problem(d.n, d.path, fmt.Sprintf("there is no day %q", d.n.text), dayHint(d.n.text))
			continue
		}
		w.Days = append(w.Days, d.n.text)
	}
	if n, ok := o.value("days"); ok && n.kind == kindList && len(n.items) == 0 {
		r.problem(n, o.at("days"), "there are no days", "take days out for every day")
	}
	slices.SortFunc(w.Days, func(a, b string) int {
		return slices.Index(towpath.Weekdays(), a) - slices.Index(towpath.Weekdays(), b)
	})
	if n, ok := o.scalar("timezone", kindString, ""); ok {
		r.fault(n, o.at("timezone"), towpath.ZoneFault(n.text))
	}
	return w
}

func dayHint(got string) string {
	if len(got) >= 3 && slices.Contains(towpath.Weekdays(), lower(got[:3])) {
		return "did you mean " + lower(got[:3]) + "?"
	}
	return didyoumean.Hint(got, towpath.Weekdays())
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

func readClock(o object, key string) string {
	n, ok := o.scalar(key, kindString, `put the time in quotes: "09:00"`)
	if !ok {
		return ""
	}
	o.r.fault(n, o.at(key), towpath.ClockFault(n.text, key == "start"))
	return n.text
}

func readDate(o object, key string) string {
	n, ok := o.scalar(key, kindString, `put the date in quotes: "2026-12-24"`)
	if !ok {
		return ""
	}
	o.r.fault(n, o.at(key), towpath.DateFault(n.text))
	return n.text
}
