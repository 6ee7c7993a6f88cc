package cli

import (
	"image/color"

	"charm.land/lipgloss/v2"
)

// style colours text, or leaves it plain when it is off. Colours are the
// terminal's own sixteen, so that they follow its theme.
type style struct{ on bool }

func (s style) paint(text string, c color.Color, bold bool) string {
	if !s.on || text == "" {
		return text
	}
	st := lipgloss.NewStyle().Bold(bold)
	if c != nil {
		st = st.Foreground(c)
	}
	return st.Render(text)
}

func (s style) bold(t string) string { return s.paint(t, nil, true) }
func (s style) good(t string) string { return s.paint(t, lipgloss.Green, false) }
func (s style) bad(t string) string  { return s.paint(t, lipgloss.Red, true) }
func (s style) warn(t string) string { return s.paint(t, lipgloss.Yellow, false) }
func (s style) note(t string) string { return s.paint(t, lipgloss.Cyan, false) }

func (s style) dim(t string) string {
	if !s.on || t == "" {
		return t
	}
	return lipgloss.NewStyle().Faint(true).Render(t)
}

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
