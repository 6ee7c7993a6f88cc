package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// dash stands for nothing in a table.
const dash = "-"

func orDash[T ~string](v T) string {
	if v == "" {
		return dash
	}
	return string(v)
}

// age is how long ago t was, in its largest unit.
func (p *page) age(t time.Time) string {
	if t.IsZero() {
		return dash
	}
	return span(p.now.Sub(t))
}

// span is a duration to be read at a glance.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// seconds is a duration of a step.
func seconds(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}

// size is a count of bytes for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// short abbreviates a digest, ID or commit that may be empty.
func short[T ~string](id T) string {
	if id == "" {
		return dash
	}
	return towpath.Short(id)
}

func join[T ~string](items []T) string {
	s := make([]string, len(items))
	for i := range items {
		s[i] = string(items[i])
	}
	return strings.Join(s, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
