package pin

import (
	"bytes"
	"encoding/csv"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// errDockerfile is of what BuildKit's own parser does not take either.
var errDockerfile = errors.New("docker can't read it, and it may name images")

// dockerfile finds the images that stages begin with, those that files are
// copied or mounted from, and the one that reads the file; and what is added from
// the web. A stage of the file itself is none.
func dockerfile(src []byte) (out []Found) {
	defer func() { // the parser is somebody else's, and its input is untrusted
		if p := recover(); p != nil {
			out = []Found{{Unknown: errDockerfile.Error()}}
		}
	}()
	if syntax, _, at, ok := parser.DetectSyntax(src); ok {
		out = append(out, image(syntax, max(1, lineAt(at))))
	}
	if !instructs(src) {
		return out
	}
	file, err := parser.Parse(bytes.NewReader(src))
	if err != nil {
		f := Found{Unknown: errDockerfile.Error()}
		if l, ok := errors.AsType[*parser.LocationError](err); ok && len(l.Locations) > 0 {
			f.Line = lineAt(l.Locations[0])
		}
		return append(out, f)
	}
	stages := newStages()
	for _, n := range file.AST.Children {
		line := n.StartLine
		if strings.EqualFold(n.Value, "ONBUILD") && n.Next != nil && len(n.Next.Children) > 0 { // what is kept for later is named now
			n = n.Next.Children[0]
		}
		out = append(out, stages.read(n, line)...)
	}
	return out
}

func lineAt(at []parser.Range) int {
	if len(at) == 0 {
		return 0
	}
	return at[0].Start.Line
}

// instructs says that a Dockerfile has more than comments.
func instructs(src []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(src, []byte("\ufeff"))) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// read finds what an instruction names.
func (s *stages) read(n *parser.Node, line int) (out []Found) {
	switch strings.ToUpper(n.Value) {
	case "FROM":
		return s.from(wordsOf(n.Next), line)
	case "ARG":
		s.arg(wordsOf(n.Next))
	case "ENV":
		s.env(wordsOf(n.Next))
	case "ADD":
		return s.added(wordsOf(n.Next), flagsOf(n, "--checksum"), line)
	case "COPY":
		for _, from := range flagsOf(n, "--from") {
			if from != "" && !s.has(from) && !isNumber(from) {
				out = append(out, image(from, line))
			}
		}
	case "RUN":
		for _, mount := range flagsOf(n, "--mount") {
			out = append(out, s.mounted(mount, line)...)
		}
	}
	return out
}

// from begins a stage: FROM IMAGE, or FROM IMAGE AS NAME.
func (s *stages) from(words []string, line int) []Found {
	name, as := "", ""
	if len(words) > 0 {
		name = unquoted(words[0])
	}
	if len(words) >= 3 && strings.EqualFold(words[1], "as") {
		as = words[2]
	}
	text, missing := expand(name, s.before)
	known := s.has(text)
	s.begin(text, as)
	switch {
	case missing != "":
		f := image(name, line)
		f.Unknown = "the build argument " + missing + " has no value in the file"
		return []Found{f}
	case known:
		return nil
	}
	return []Found{image(text, line)}
}

// mounted is the image that a mount is from: type=bind,from=IMAGE,target=PATH.
func (s *stages) mounted(mount string, line int) []Found {
	parts, err := csv.NewReader(strings.NewReader(mount)).Read()
	if err != nil {
		f := image(mount, line)
		f.Unknown = "the mount can't be read, and may be from an image"
		return []Found{f}
	}
	var out []Found
	for _, p := range parts {
		key, from, _ := strings.Cut(p, "=")
		if strings.EqualFold(key, "from") && from != "" && !s.has(from) {
			out = append(out, image(from, line))
		}
	}
	return out
}

// wordsOf are what follows an instruction's name, as it is written.
func wordsOf(n *parser.Node) []string {
	var out []string
	for ; n != nil; n = n.Next {
		out = append(out, n.Value)
	}
	return out
}

// flagsOf are the values of a flag, each time that an instruction has it.
func flagsOf(n *parser.Node, flag string) []string {
	var out []string
	for _, f := range n.Flags {
		if name, value, _ := strings.Cut(f, "="); name == flag {
			out = append(out, value)
		}
	}
	return out
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// unquoted is a word without its quotes.
func unquoted(word string) string {
	if !strings.ContainsAny(word, `"'\`) {
		return word
	}
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '\\' && quote != '\'' && i+1 < len(word):
			i++
			b.WriteByte(word[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// variable is $NAME, ${NAME}, and what may stand behind the name.
var variable = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))`)

// expand puts values in the place of variables, or names the first that has
// none. What grows beyond the length of a reference has none either.
func expand(text string, valueOf func(name string) (string, bool)) (expanded, missing string) {
	if len(text) > maxReference {
		return text, "in a very long text"
	}
	expanded = variable.ReplaceAllStringFunc(text, func(s string) string {
		m := variable.FindStringSubmatch(s)
		name := m[1] + m[4]
		value, has := valueOf(name)
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
