package pin

import (
	"maps"
	"net/url"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"

	"github.com/towpath/towpath/internal/towpath"
)

// stages are those of a Dockerfile, with the values that build arguments and the
// environment have in them, as far as the file says.
type stages struct {
	global map[string]string // arguments before the first stage
	begun  bool
	named  map[string]values // by name, in lower case
	now    values            // of the stage that is read
	name   string            // of that stage
	copied int               // values that stages have from others
}

// values are those of a stage. Of one name the environment's counts.
type values struct{ args, env map[string]string }

// maxCopied is how many values stages may have from others: beyond it none is known.
const maxCopied = 1 << 18

func newStages() *stages {
	return &stages{global: map[string]string{}, named: map[string]values{"scratch": {}}, now: values{map[string]string{}, map[string]string{}}}
}

// has says that a name is a stage's, or nothing's.
func (s *stages) has(name string) bool {
	_, ok := s.named[strings.ToLower(name)]
	return ok || s.name != "" && strings.EqualFold(name, s.name)
}

// begin is a stage's beginning: one that is made from another has what that has.
func (s *stages) begin(from, as string) {
	s.end()
	s.begun, s.name, s.now = true, as, values{map[string]string{}, map[string]string{}}
	base := s.named[strings.ToLower(from)]
	if s.copied += len(base.args) + len(base.env); s.copied <= maxCopied {
		maps.Copy(s.now.args, base.args)
		maps.Copy(s.now.env, base.env)
	}
}

func (s *stages) end() {
	if s.name != "" {
		s.named[strings.ToLower(s.name)] = s.now
	}
}

// value is what a name stands for in an instruction.
func (s *stages) value(name string) (string, bool) {
	if !s.begun {
		return s.before(name)
	}
	if v, ok := s.now.env[name]; ok {
		return v, true
	}
	v, ok := s.now.args[name]
	return v, ok
}

// before is what a name stood for before the first stage.
func (s *stages) before(name string) (string, bool) {
	v, ok := s.global[name]
	return v, ok
}

// arg takes in an ARG: NAME=VALUE, or NAME of what has its value before the first
// stage.
func (s *stages) arg(words []string) {
	to := s.now.args
	if !s.begun {
		to = s.global
	}
	var pairs []string
	for _, word := range words {
		name, text, has := strings.Cut(word, "=")
		if !has && s.begun {
			text, has = s.before(name)
		}
		if has {
			pairs = append(pairs, unquoted(name), text)
		}
	}
	s.put(to, pairs)
}

// env takes in an ENV: names, values and what stood between them.
func (s *stages) env(words []string) {
	var pairs []string
	for ; len(words) >= 3; words = words[3:] {
		pairs = append(pairs, unquoted(words[0]), words[1])
	}
	s.put(s.now.env, pairs)
}

// put sets names to values that are read with what held before the instruction.
func (s *stages) put(to map[string]string, pairs []string) {
	values := make([]string, len(pairs))
	for i := 1; i < len(pairs); i += 2 {
		value, missing := expand(pairs[i], s.value)
		if missing == "" {
			values[i] = unquoted(value)
		} else {
			pairs[i-1] += "\x00" // is no name: it has no value that the file says
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if name, unknown := strings.CutSuffix(pairs[i], "\x00"); unknown {
			delete(to, name)
		} else {
			to[name] = values[i+1]
		}
	}
}

// checksum is what an ADD may hold a file of the web to.
var checksum = regexp.MustCompile(`^sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})$`)

// added finds what an ADD fetches: files of the web, which a checksum holds to what
// they are, and git repositories, which are modules. The last word is where to.
// https://docs.docker.com/reference/dockerfile/#add
func (s *stages) added(words, sums []string, line int) (out []Found) {
	sum, _ := expand(strings.Join(sums, " "), s.value)
	unknown := func(source, why string) {
		out = append(out, Found{Line: line, Unknown: why, Reference: towpath.External{Kind: towpath.ExternalModule, Source: shown(source)}})
	}
	for _, word := range words[:max(0, len(words)-1)] {
		source, missing := expand(word, s.value)
		if source = unquoted(source); missing != "" {
			if begins, _, _ := strings.Cut(source, "$"); mayBeAddress(begins) && !checksum.MatchString(sum) {
				unknown(source, "the build argument "+missing+" has no value in the file, and it may be an address: write it out, or COPY what is in the repository")
			}
			continue
		}
		repository, isGit, err := dfgitutil.ParseGitRef(source)
		switch {
		case isGit && err == nil:
			out = append(out, cloned(repository, sum, line))
		case isWeb(source) && !checksum.MatchString(sum):
			unknown(source, "a web server may answer something else tomorrow: give --checksum=sha256:…, or commit the file")
		}
	}
	return out
}

func isWeb(source string) bool {
	source = strings.ToLower(source)
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
}

// mayBeAddress says that a text, of which only the beginning is known, may go on as
// an address.
func mayBeAddress(begins string) bool {
	begins = strings.ToLower(begins)
	if strings.Contains(begins, "@") || strings.Contains(begins, "://") {
		return true
	}
	for _, scheme := range []string{"https://", "http://", "ssh://", "git://"} {
		if strings.HasPrefix(scheme, begins) {
			return true
		}
	}
	return false
}

// cloned is a git repository: a module, called as Terraform calls it.
func cloned(g *dfgitutil.GitRef, sum string, line int) Found {
	module, ref := "git::"+g.Remote, g.Ref
	for _, commit := range []string{sum, g.Checksum} {
		if isCommit(commit) {
			ref = commit // docker refuses any other
		}
	}
	if g.SubDir != "" {
		module += "//" + strings.Trim(g.SubDir, "/")
	}
	if ref != "" {
		module += "?ref=" + strings.ReplaceAll(url.QueryEscape(ref), "%2F", "/")
	}
	reference, err := Module(module, "")
	f := Found{Line: line, Reference: reference}
	if err != nil {
		f.Unknown = err.Error()
	}
	return f
}
