package cli

import (
	"strings"
	"unicode"
)

// Clean takes from text for people what could drive their terminal. Lines stay.
func Clean(text string) string {
	s := newStyle(false)
	return s.clean(s.lines(text))
}

// clean is text as it is printed. Subjects of commits, rules, reasons and logs come
// from elsewhere: what stands for a colour or the end of a line is only what this
// program marked as its own, and whatever else drives a terminal is shown in its place.
func (s style) clean(text string) string {
	return s.unmarked(s.safe(text))
}

// safe is text in which only our own marks drive a terminal.
func (s style) safe(text string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, s.mark())
		if i < 0 {
			return b.String() + strings.Map(printable, text)
		}
		b.WriteString(strings.Map(printable, text[:i]) + s.mark())
		text = text[i+len(s.mark()):]
	}
}

// printable is what is shown for a character of a value.
func printable(r rune) rune {
	switch {
	case r == '\n' || r == '\u2028' || r == '\u2029':
		return '↵'
	case r == '\t':
		return r
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r): // the latter change the order of what is read
		return '\uFFFD'
	}
	return r
}

// unmarked is safe text with our colours and ends of lines.
func (s style) unmarked(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, s.mark()+"n", "\n"), s.mark(), "\x1b[")
}

// lines is text of ours, whose ends of lines are meant.
func (s style) lines(text string) string { return strings.ReplaceAll(text, "\n", s.mark()+"n") }
