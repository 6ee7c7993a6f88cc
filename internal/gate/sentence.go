package gate

import (
	"fmt"
	"strings"
)

// quote shows what a person wrote, on one line and bounded.
func quote(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	if s == "" {
		return "no reason given"
	}
	return "“" + s + "”"
}

func because(s string) string {
	if s == "" {
		return ""
	}
	return ": " + quote(s)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// list joins names for people, and counts what it leaves out.
func list(names []string) string {
	if n := len(names); n > shown {
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(" and %d more", n-shown)
	}
	return strings.Join(names, ", ")
}
