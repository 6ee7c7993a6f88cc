// Package build is the build half of the process kind: it checks a component's
// `process:` section and an environment's settings for it, merges the two and
// renders them to the canonical JSON of a [process.Spec]. It needs no
// credential, does no I/O and does not know what runs the spec.
//
// Settings win over the section: objects merge by key, lists are replaced, and
// null takes a key away. The command, the folder it runs in and the protocol that
// it speaks are the release's and no environment changes them.
//
// Start reading at builder.go, then spec.go (the fields and their defaults).
package build

import (
	"cmp"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/towpath"
)

// Builder is the build half of the process kind. It holds nothing.
type Builder struct{}

var _ kind.Builder = (*Builder)(nil)

// New makes a builder.
func New() *Builder { return &Builder{} }

// Kind is the process kind.
func (*Builder) Kind() towpath.ComponentKind { return towpath.KindProcess }

// Schema is the JSON Schema of a `process:` section.
func (*Builder) Schema() json.RawMessage { return slices.Clone(sectionSchema) }

// SettingsSchema is the JSON Schema of an environment's settings: the section
// without what belongs to the release, every key of it optional and nullable.
func (*Builder) SettingsSchema() json.RawMessage { return settingsSchema() }

// Check reports everything that is wrong with a section and the settings that
// are merged into it; either may be empty.
func (*Builder) Check(section, settings json.RawMessage) []kind.Problem {
	_, problems := resolve(section, settings)
	return problems
}

// Instances implements [kind.Counter].
func (*Builder) Instances(rendered json.RawMessage) (int, error) {
	var s process.Spec
	if err := json.Unmarshal(rendered, &s); err != nil {
		return 0, towpath.E(towpath.KindInternal, "process.instances", "a rendered process can't be read").WithCause(err)
	}
	return s.Instances, nil
}

// Render merges settings into the component's section and returns the
// canonical JSON of the [process.Spec]. Any problem that [Builder.Check] would
// report is a KindInvalid error.
func (*Builder) Render(c towpath.ComponentSpec, environment towpath.EnvironmentName, settings json.RawMessage) (json.RawMessage, error) {
	spec, problems := resolve(c.Spec, settings)
	if len(problems) > 0 {
		p := problems[0]
		return nil, towpath.E(towpath.KindInvalid, "process.render", "%s: %s", p.Path, p.Message).
			On(string(c.Name)+" in "+string(environment)).WithHint("%s", cmp.Or(p.Hint, "correct towpath.yaml"))
	}
	if c.DriftRules != nil {
		spec.Ignore = c.DriftRules.Ignore
	}
	if word := ignoredCommand(spec); word != "" {
		return nil, towpath.E(towpath.KindInvalid, "process.render", "drift.ignore covers %s, which the component runs: nobody would see that it was edited", word).
			On(string(c.Name) + " in " + string(environment)).WithHint("name only files that the component writes itself, such as cache/**")
	}
	return canonical(spec), nil
}

// ignoredCommand is a word of the spec's commands that names a file which
// changes are ignored of; empty: none.
func ignoredCommand(spec process.Spec) string {
	words := slices.Clone(spec.Command)
	for _, j := range slices.Concat(spec.Verify.Before, spec.Verify.Preview, spec.Verify.Step, spec.Verify.After) {
		words = append(words, j.Command...)
	}
	for i, w := range words {
		named := namesIn(w)
		if i > 0 && words[i-1] == "-m" { // python -m app.main
			module := strings.ReplaceAll(w, ".", "/")
			named = append(named, module+".py", module+"/__main__.py")
		}
		for _, n := range named {
			if towpath.Ignored(spec.Ignore, path.Clean(n), false) || towpath.Ignored(spec.Ignore, path.Join(spec.WorkDir, n), false) {
				return n
			}
		}
	}
	return ""
}

// namesIn are the names of files that a word of a command may hold: itself, what
// comes after the sign of an option, and what a shell would take for words of its
// own. A program's own imports are none of them: the build lists what of the
// release is covered.
func namesIn(word string) []string {
	all := []string{word}
	for _, n := range strings.FieldsFunc(word, func(c rune) bool { return unicode.IsSpace(c) || strings.ContainsRune("\"'`;&|<>(){}=,:@$", c) }) {
		if n != word {
			all = append(all, n)
		}
	}
	return all
}

// Addresses are the host:port pairs that the component takes in its place, by
// their keys, so that two components which want the same one are found before
// they meet. A port that is chosen later, and a section with problems, take none.
func (*Builder) Addresses(section, settings json.RawMessage) map[string]string {
	spec, problems := resolve(section, settings)
	if len(problems) > 0 {
		return nil
	}
	all := map[string]string{"listen": spec.Listen, "preview": spec.Preview}
	maps.DeleteFunc(all, func(_, address string) bool { return portOf(address) == 0 })
	return all
}

// Waits are how long stopping an instance may take, as far as section and settings
// say so: for requests to finish (drain) and the program to end (stopGrace).
func (*Builder) Waits(section, settings json.RawMessage) (drain, grace time.Duration) {
	spec, _ := resolve(section, settings)
	if spec.StopGrace == defaultGrace { // what nobody wrote is nobody's mistake
		spec.StopGrace = 0
	}
	return spec.Drain, spec.StopGrace
}

// References are the outputs of other components that the component takes: the
// path of the placeholder, and the name of the component.
func (*Builder) References(section, settings json.RawMessage) map[string]towpath.ComponentName {
	spec, _ := resolve(section, settings)
	out := map[string]towpath.ComponentName{}
	for name, v := range spec.Env {
		if v.Component != "" {
			out["env."+name] = towpath.ComponentName(v.Component)
		}
	}
	return out
}

// resolve merges and reads a component. Every problem is reported once; those
// of the section come first. What was read in spite of problems is returned.
func resolve(section, settings json.RawMessage) (process.Spec, []kind.Problem) {
	r := &reader{}
	base := r.parse(section, "the process section")
	over := r.parse(settings, "the settings")
	spec := readSpec(r, base)
	if len(over) > 0 {
		r.object("", over).only(settingsKeys())
		spec = readSpec(r, merge(base, over))
	}
	return spec, r.distinct()
}

// merge is JSON Merge Patch (RFC 7396): objects merge by key, null deletes,
// everything else is replaced.
func merge(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range over {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			below, _ := out[k].(map[string]any)
			out[k] = merge(below, v)
		default:
			out[k] = v
		}
	}
	return out
}
