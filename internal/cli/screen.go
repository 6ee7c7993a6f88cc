package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// silence is how long a screen off a terminal says nothing.
const silence = 10 * time.Second

// view is what a screen shows of work under way.
type view struct {
	title   string
	tree    []branch
	waiting string // what it waits for, as a sentence without its full stop; empty: for nothing
	over    bool
}

// screen shows work under way.
type screen interface {
	show(v view, now time.Time)
	say(text string, now time.Time)
}

func (s *session) newScreen() screen {
	if f, ok := s.stderr.(*os.File); ok && isTerminal(f) {
		return &liveScreen{out: s.stderr, style: s.style, size: func() (int, int) {
			w, h, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80, 24
			}
			return w, h
		}}
	}
	return &plainScreen{out: s.stderr, style: s.style, states: map[string]string{}}
}

// liveScreen draws over what it has drawn before.
type liveScreen struct {
	out   io.Writer
	style style
	size  func() (width, height int)
	drawn int // lines
}

func (s *liveScreen) show(v view, now time.Time) {
	lines := append([]string{s.style.bold(v.title) + "  " + bar(v.tree, s.style)}, drawTree(v.tree, now, s.style)...)
	if v.waiting != "" && !v.over {
		lines = append(lines, "waiting: "+v.waiting)
	}
	width, height := s.size()
	if !v.over && len(lines) >= height { // what has scrolled away can't be drawn over
		lines = lines[len(lines)-height+1:]
	}
	var b strings.Builder
	s.clear(&b)
	for _, l := range lines {
		l = s.style.safe(l)
		if !v.over {
			l = lipgloss.NewStyle().MaxWidth(width).Render(l)
		}
		b.WriteString(s.style.clean(l) + "\n")
	}
	_, _ = io.WriteString(s.out, b.String()) // progress that can't be shown is no failure of the work
	s.drawn = len(lines)
}

func (s *liveScreen) say(text string, _ time.Time) {
	var b strings.Builder
	s.clear(&b)
	b.WriteString(s.style.clean(text) + "\n")
	_, _ = io.WriteString(s.out, b.String())
}

func (s *liveScreen) clear(b *strings.Builder) {
	if s.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\x1b[J", s.drawn)
	}
	s.drawn = 0
}

// plainScreen prints a line for each change, and one when nothing changes.
type plainScreen struct {
	out    io.Writer
	style  style
	states map[string]string
	title  string
	last   time.Time
}

func (s *plainScreen) show(v view, now time.Time) {
	if v.title != s.title {
		s.title = v.title
		s.say(v.title, now)
	}
	parent := ""
	seen := map[string]int{}
	for _, b := range v.tree {
		name := b.name
		if b.depth == 0 {
			parent = b.name
		} else {
			name = parent + ": " + b.name
		}
		seen[name]++
		key := fmt.Sprintf("%s#%d", name, seen[name])
		state := string(b.state) + " " + b.detail
		if s.states[key] == state || (s.states[key] == "" && b.state == StepPending) {
			continue
		}
		s.states[key] = state
		s.change(name, b, now)
	}
	if !v.over && now.Sub(s.last) >= silence {
		s.say("still at it: "+v.busy(now), now)
	}
}

// busy is what work under way is at: what it waits for, else the first step that
// runs, else the first component.
func (v view) busy(now time.Time) string {
	if v.waiting != "" {
		return v.waiting
	}
	parent, first := "", ""
	for _, b := range v.tree {
		if b.depth == 0 {
			parent = b.name
		}
		switch {
		case b.state != StepRunning:
		case b.depth > 0:
			return parent + ": " + b.atWork(now)
		case first == "":
			first = b.atWork(now)
		}
	}
	return cmp.Or(first, v.title)
}

// atWork is what runs, for how long, and how far it is.
func (b branch) atWork(now time.Time) string {
	line := b.name + " " + b.took(now)
	if said := b.said(); said != "" {
		line += ": " + said
	}
	return line
}

func (s *plainScreen) change(name string, b branch, now time.Time) {
	line := name + " " + string(b.state)
	if took := b.took(now); took != "" && b.state != StepRunning {
		line += " (" + took + ")"
	}
	if said := b.said(); b.state != StepRunning && said != "" {
		line += ": " + said
	} else if b.detail != "" {
		line += ": " + b.detail
	}
	s.say(line, now)
	if b.state == StepFailed {
		for _, l := range b.log[max(0, len(b.log)-lastLines):] {
			fmt.Fprintf(s.out, "         | %s\n", s.style.clean(l))
		}
	}
}

func (s *plainScreen) say(text string, now time.Time) {
	s.last = now
	fmt.Fprintf(s.out, "%s %s\n", now.Format(time.TimeOnly), s.style.clean(text))
}
