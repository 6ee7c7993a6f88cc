package cli

import (
	"regexp"
	"strings"
	"unicode"
)

var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// Clean takes from text for people what could drive their terminal.
func Clean(text string) string { return clean(text) }

// clean takes from text for people what could drive their terminal: subjects
// of commits, reasons and logs come from elsewhere. Colours stay.
func clean(text string) string {
	var b strings.Builder
	last := 0
	for _, at := range colours.FindAllStringIndex(text, -1) {
		b.WriteString(printable(text[last:at[0]]))
		b.WriteString(text[at[0]:at[1]])
		last = at[1]
	}
	b.WriteString(printable(text[last:]))
	return b.String()
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, text)
}
