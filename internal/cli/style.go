package cli

import (
	"image/color"
	"math/rand/v2"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
)

// style colours text, or leaves it plain when it is off. Colours are the
// terminal's own sixteen, so that they follow its theme, and are told from those
// that stand in values.
type style struct {
	on  bool
	key string // that nobody outside can know
}

func newStyle(on bool) style { return style{on: on, key: strconv.FormatUint(rand.Uint64(), 10)} }

// mark begins what drives the terminal until the text is printed; see
// [style.clean]. To whatever measures text it begins a colour, which takes no room.
func (s style) mark() string { return "\x1b[" + s.key + ";" }

func (s style) paint(text string, st lipgloss.Style) string {
	if !s.on || text == "" {
		return text
	}
	begin, end, _ := strings.Cut(st.Render("x"), "x")
	own := strings.NewReplacer("\x1b[", s.mark())
	return own.Replace(begin) + s.safe(text) + own.Replace(end)
}

func (s style) colour(text string, c color.Color, bold bool) string {
	st := lipgloss.NewStyle().Bold(bold)
	if c != nil {
		st = st.Foreground(c)
	}
	return s.paint(text, st)
}

func (s style) bold(t string) string { return s.colour(t, nil, true) }
func (s style) good(t string) string { return s.colour(t, lipgloss.Green, false) }
func (s style) bad(t string) string  { return s.colour(t, lipgloss.Red, true) }
func (s style) warn(t string) string { return s.colour(t, lipgloss.Yellow, false) }
func (s style) note(t string) string { return s.colour(t, lipgloss.Cyan, false) }

func (s style) dim(t string) string { return s.paint(t, lipgloss.NewStyle().Faint(true)) }

// word colours a phase, outcome or health by what it means.
func (s style) word(w string) string {
	switch w {
	case "succeeded", "healthy", "allow", "success", "done", "ok", "ready":
		return s.good(w)
	case "failed", "unhealthy", "deny", "denied", "rolled-back", "failure", "error", "fail", "down", "remove":
		return s.bad(w)
	case "waiting", "wait", "unknown", "planning", "deploying", "preparing", "switching", "retiring", "reverting", "rolling-back", "repairing", "experimenting",
		"pending", "warn", "degraded", "replace":
		return s.warn(w)
	}
	return w
}
