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
	heredoc         = regexp.MustCompile(`^[0-9]*<<-?["']?([A-Za-z_][A-Za-z0-9_.]*)["']?$`)
)

// instructions takes a Dockerfile apart, without comments and here-documents. It
// is not whole when a here-document has no end: what is behind its beginning is
// not known then.
// https://docs.docker.com/reference/dockerfile/#format
func instructions(src []byte) (out []instruction, whole bool) {
	var until []string // ends of here-documents to come
	var parts []string // of continued lines
	escape, begun := `\`, 0
	end := func() {
		x := newInstruction(parts, begun)
		parts = nil
		out = append(out, x)
		until = x.heredocs()
	}
	for i, line := range strings.Split(strings.TrimPrefix(string(src), "\ufeff"), "\n") {
		text := strings.Trim(line, " \t\r")
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
		if len(parts) == 0 {
			begun = i + 1
		}
		more, continued := strings.CutSuffix(text, escape)
		parts = append(parts, more)
		if !continued {
			end()
		}
	}
	if len(parts) > 0 {
		end()
	}
	return out, len(until) == 0
}

func newInstruction(parts []string, line int) instruction {
	name, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(strings.Join(parts, " "), "\t", " ")), " ")
	return instruction{name: strings.ToUpper(name), rest: strings.TrimSpace(rest), line: line}
}

// heredocs are the words that end the here-documents of an instruction.
func (x instruction) heredocs() []string {
	if x.name != "RUN" && x.name != "COPY" && x.name != "ADD" {
		return nil
	}
	var out []string
	for field := range strings.FieldsSeq(x.rest) {
		if m := heredoc.FindStringSubmatch(field); m != nil {
			out = append(out, m[1])
		}
	}
	return out
}

// dockerfile finds the images that stages begin with, and those that files are
// copied from. A stage of the file itself is none.
func dockerfile(src []byte) []Found {
	var out []Found
	args := map[string]string{} // that stand before the first stage, with a value
	stages, count := map[string]bool{"scratch": true}, 0
	all, whole := instructions(src)
	for _, x := range all {
		switch {
		case x.name == "ARG" && count == 0:
			for field := range strings.FieldsSeq(x.rest) {
				if name, value, ok := strings.Cut(field, "="); ok {
					value, missing := expand(strings.Trim(value, `"'`), args)
					if delete(args, name); missing == "" {
						args[name] = value
					}
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
	if !whole {
		out = append(out, Found{Unknown: "a here-document has no end, and what follows is not known"})
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
// none. What grows beyond the length of a reference has none either.
func expand(text string, values map[string]string) (expanded, missing string) {
	if len(text) > maxReference {
		return text, "in a very long text"
	}
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
	if missing == "" && (strings.Contains(expanded, "$") || len(expanded) > maxReference) {
		missing = text
	}
	return expanded, missing
}
