package cli

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// page is text for people.
type page struct {
	strings.Builder
	style style
	wide  bool
	now   time.Time
}

// table is rows under columns. Columns named with a leading + are shown wide
// only.
type table struct {
	columns []string
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// field is one "name: value" line; an empty value is left out.
func (p *page) field(name, value string) {
	if value != "" {
		p.line("%s %s", p.style.dim(fmt.Sprintf("%-13s", name+":")), value)
	}
}

func (p *page) heading(text string) { p.line("\n%s", p.style.bold(text)) }

// table aligns by what is seen, not by bytes: cells may be coloured.
func (p *page) table(t table) {
	var keep []int
	head := make([]string, len(t.columns))
	for i, c := range t.columns {
		name, wideOnly := strings.CutPrefix(c, "+")
		if !wideOnly || p.wide {
			keep = append(keep, i)
		}
		head[i] = p.style.dim(name)
	}
	width := make([]int, len(t.columns))
	rows := append([][]string{head}, t.rows...)
	for _, r := range rows {
		for _, i := range keep {
			width[i] = max(width[i], lipgloss.Width(r[i]))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for n, i := range keep {
			b.WriteString(r[i])
			if n < len(keep)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-lipgloss.Width(r[i])+3))
			}
		}
		p.line("%s", strings.TrimRight(b.String(), " "))
	}
}
