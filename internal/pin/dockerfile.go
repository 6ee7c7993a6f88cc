package pin

import (
	"regexp"
	"strconv"
	"strings"
)

// instruction is one of a Dockerfile, its continued lines put together.
type instruction struct {
	name string // upper case
	rest string
	line int // of its beginning
}

var (
	escapeDirective = regexp.MustCompile("(?i)^#\\s*escape\\s*=\\s*([\\\\`])")
	heredoc         = regexp.MustCompile(`<<-?\s*["']?([A-Za-z_][A-Za-z0-9_]*)["']?`)
)

// instructions takes a Dockerfile apart, without comments and here-documents.
// https://docs.docker.com/reference/dockerfile/#format
func instructions(src []byte) []instruction {
	var out []instruction
	var until []string // ends of here-documents to come
	escape, begun, current := `\`, 0, ""
	for i, line := range strings.Split(strings.TrimPrefix(string(src), "\ufeff"), "\n") {
		line = strings.TrimRight(line, " \t\r")
		text := strings.TrimLeft(line, " \t")
		if len(until) > 0 {
			if text == until[0] {
				until = until[1:]
			}
			continue
		}
		if m := escapeDirective.FindStringSubmatch(text); m != nil && len(out) == 0 {
			escape = m[1]
		}
		if strings.HasPrefix(text, "#") || text == "" {
			continue // also between continued lines
		}
		if current == "" {
			begun = i + 1
		}
		if more, ok := strings.CutSuffix(text, escape); ok {
			current += more + " "
			continue
		}
		name, rest, _ := strings.Cut(strings.ReplaceAll(current+text, "\t", " "), " ")
		current = ""
		x := instruction{name: strings.ToUpper(name), rest: strings.TrimSpace(rest), line: begun}
		if x.name == "RUN" || x.name == "COPY" || x.name == "ADD" {
			for _, m := range heredoc.FindAllStringSubmatch(x.rest, -1) {
				until = append(until, m[1])
			}
		}
		out = append(out, x)
	}
	return out
}

// dockerfile finds the images that stages begin with, and those that files are
// copied from. A stage of the file itself is none.
func dockerfile(src []byte) []Found {
	var out []Found
	args := map[string]string{} // that stand before the first stage, with a value
	stages, count := map[string]bool{"scratch": true}, 0
	for _, x := range instructions(src) {
		switch {
		case x.name == "ARG" && count == 0:
			for field := range strings.FieldsSeq(x.rest) {
				if name, value, ok := strings.Cut(field, "="); ok {
					args[name], _ = expand(strings.Trim(value, `"'`), args)
				}
			}
		case x.name == "FROM":
			name, as := fromParts(x.rest)
			count++
			if text, missing := expand(name, args); missing != "" {
				f := image(name, x.line)
				f.Unknown = "the build argument " + missing + " has no value in the file"
				out = append(out, f)
			} else if !stages[strings.ToLower(text)] {
				out = append(out, image(text, x.line))
			}
			if as != "" {
				stages[strings.ToLower(as)] = true
			}
		case x.name == "COPY":
			if from := flagOf(x.rest, "--from="); from != "" && !stages[strings.ToLower(from)] && !isNumber(from) {
				out = append(out, image(from, x.line))
			}
		}
	}
	return out
}

// fromParts are the image and the stage's name of a FROM.
func fromParts(rest string) (name, as string) {
	fields := strings.Fields(rest)
	for len(fields) > 0 && strings.HasPrefix(fields[0], "--") {
		fields = fields[1:]
	}
	if len(fields) == 0 {
		return "", ""
	}
	if len(fields) >= 3 && strings.EqualFold(fields[1], "as") {
		as = fields[2]
	}
	return strings.Trim(fields[0], `"'`), as
}

func flagOf(rest, flag string) string {
	for field := range strings.FieldsSeq(rest) {
		if value, ok := strings.CutPrefix(field, flag); ok {
			return strings.Trim(value, `"'`)
		}
		if !strings.HasPrefix(field, "--") {
			return ""
		}
	}
	return ""
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// variable is $NAME, ${NAME}, and what may stand behind the name.
var variable = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))`)

// expand puts values in the place of variables, or names the first that has
// none.
func expand(text string, values map[string]string) (expanded, missing string) {
	expanded = variable.ReplaceAllStringFunc(text, func(s string) string {
		m := variable.FindStringSubmatch(s)
		name := m[1] + m[4]
		value, has := values[name]
		switch {
		case has && (value != "" || m[2] == "-") && !strings.HasSuffix(m[2], "+"):
			return value
		case (m[2] == ":-" || m[2] == "-") && !strings.Contains(m[3], "$"):
			return m[3]
		case missing == "":
			missing = name
		}
		return s
	})
	if missing == "" && strings.Contains(expanded, "$") {
		missing = expanded
	}
	return expanded, missing
}
