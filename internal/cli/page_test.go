package cli

import (
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
)

func TestPage_table(t *testing.T) {
	rows := table{columns: []string{"ENVIRONMENT", "VERSION", "HOLD", "QUEUE"}}
	rows.add("production-of-the-west", "0.0.0-dev.4+g9ed904d", "rolled back from 1.4.0 to 1.3.0: "+strings.Repeat("why ", 30), "0")
	rows.add("dev", "1.4.0", "-", "12")
	draw := func(width int) []string {
		p := &page{width: width}
		p.table(rows)
		return strings.Split(strings.TrimSpace(p.String()), "\n")
	}
	t.Run("is as wide as its cells off a terminal", func(t *testing.T) {
		if got := draw(0)[1]; !strings.Contains(got, strings.TrimSpace(strings.Repeat("why ", 30))) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("fits the terminal, and shows what it cut", func(t *testing.T) {
		for _, width := range []int{80, 100, 132} {
			for _, line := range draw(width) {
				if lipgloss.Width(line) > width {
					t.Errorf("%d cells in %d: %q", lipgloss.Width(line), width, line)
				}
			}
			if got := draw(width)[1]; !strings.HasPrefix(got, "production-of-the-west  0.0.0-dev.4+g9ed904d  rolled back from") || !strings.Contains(got, "…  0") {
				t.Errorf("in %d it is %q", width, got)
			}
		}
	})
	t.Run("never cuts the name, nor a column to nothing", func(t *testing.T) {
		if got := draw(10)[1]; !strings.HasPrefix(got, "production-of-the-west  0.0.0-dev.4…  ") || !strings.Contains(got, "rolled back…") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("counts what is seen, not the bytes of colours", func(t *testing.T) {
		p := &page{width: 30, style: style{on: true}}
		x := table{columns: []string{"A", "B"}}
		x.add("a", p.style.bad(strings.Repeat("x", 40)))
		p.table(x)
		for line := range strings.Lines(p.String()) {
			if lipgloss.Width(strings.TrimRight(line, "\n")) > 30 {
				t.Errorf("%d cells: %q", lipgloss.Width(line), line)
			}
		}
	})
}
