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
	width int // of the terminal, in cells; 0: as wide as it gets
}

// table is rows under columns. Columns named with a leading + are shown wide
// only.
type table struct {
	columns []string
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String is the page as it is printed.
func (p *page) String() string { return p.style.clean(p.Builder.String()) }

// line adds a line, which ends where the format says, not in values.
func (p *page) line(format string, args ...any) { fmt.Fprintf(p, p.style.lines(format+"\n"), args...) }

// text adds a text of several lines.
func (p *page) text(t string) { p.WriteString(p.style.lines(t)) }

// field is one "name: value" line; an empty value is left out.
func (p *page) field(name, value string) {
	if value != "" {
		p.labelled(name, value)
	}
}

func (p *page) labelled(name, value string) {
	if name != "" {
		name += ":"
	}
	p.line("%s %s", p.style.dim(fmt.Sprintf("%-13s", name)), value)
}

// fields is one "name: value" line a value, with the name on the first.
func (p *page) fields(name string, values []string) {
	for i, v := range values {
		if i > 0 {
			name = ""
		}
		p.labelled(name, v)
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
	rows := [][]string{head}
	for _, r := range t.rows {
		safe := make([]string, len(r))
		for i, cell := range r {
			safe[i] = p.style.safe(cell)
		}
		rows = append(rows, safe)
	}
	for _, r := range rows {
		for _, i := range keep {
			width[i] = max(width[i], lipgloss.Width(r[i]))
		}
	}
	between := p.fit(t.columns, keep, width)
	for _, r := range rows {
		var b strings.Builder
		for n, i := range keep {
			cell := shorten(r[i], width[i])
			b.WriteString(cell)
			if n < len(keep)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-lipgloss.Width(cell)+between))
			}
		}
		p.line("%s", strings.TrimRight(b.String(), " "))
	}
}

// narrowed is how many cells a column keeps.
const narrowed = 12

// prose reports whether a column is text to be read, which says enough when it
// is cut; the others are names, which people copy.
func prose(column string) bool {
	switch column {
	case "HOLD", "REASON", "SUBJECT", "DETAIL", "REPOSITORY":
		return true
	}
	return false
}

// fit narrows columns until a row fits the terminal, and returns the cells that
// are left between them. Gaps go first, then prose, then names other than the
// first, which stays whole.
func (p *page) fit(columns []string, keep, width []int) (between int) {
	between = 3
	if p.width == 0 || len(keep) == 0 {
		return between
	}
	over := between*(len(keep)-1) - p.width
	for _, i := range keep {
		over += width[i]
	}
	if over > 0 {
		between, over = 2, over-(len(keep)-1)
	}
	for _, names := range []bool{false, true} {
		for over > 0 {
			widest := -1
			for _, i := range keep[1:] {
				if (names || prose(columns[i])) && width[i] > narrowed && (widest < 0 || width[i] > width[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			width[widest]--
			over--
		}
	}
	return between
}

// shorten cuts a cell that is wider than its column, and shows that it did.
func shorten(cell string, width int) string {
	if lipgloss.Width(cell) <= width {
		return cell
	}
	return lipgloss.NewStyle().MaxWidth(width-1).Render(cell) + "…"
}
