package build

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/kind/process"
)

// maxValue bounds one environment variable, in bytes.
const maxValue = 64 << 10

var (
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// placeholder is a whole value: an output of another component.
	placeholder = regexp.MustCompile(`^\$\{components\.([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)\.([a-zA-Z]+)\}$`)
)

func readEnv(o *object) map[string]process.Value {
	out := map[string]process.Value{}
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		switch {
		case !envName.MatchString(name):
			o.r.problem(o.at(name), fmt.Sprintf("%q is no name of an environment variable", name), "use letters, digits and underscores, not beginning with a digit")
			continue
		case name == "PORT" || strings.HasPrefix(name, "TOWPATH_"):
			o.r.problem(o.at(name), fmt.Sprintf("%s is set by towpath", name), "choose another name; PORT and TOWPATH_* are reserved")
			continue
		}
		s, ok := o.fields[name].(string)
		if !ok {
			o.r.problem(o.at(name), fmt.Sprintf("an environment variable is a string, and this is %s", kindOf(o.fields[name])), "put the value in quotes")
			continue
		}
		if v, ok := readValue(o, name, s); ok {
			out[name] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// readValue reads a literal or a placeholder, which is always the whole value:
// a text with holes would need quoting rules that differ for each use of it.
func readValue(o *object, name, s string) (process.Value, bool) {
	if len(s) > maxValue || strings.ContainsRune(s, 0) {
		o.r.problem(o.at(name), "the value is too long or has a NUL byte", fmt.Sprintf("put what is longer than %d KiB into a file of the component", maxValue>>10))
		return process.Value{}, false
	}
	if m := placeholder.FindStringSubmatch(s); m != nil {
		if m[2] != "address" {
			o.r.problem(o.at(name), fmt.Sprintf("a component has no output %q", m[2]), "the output of a component is its address: ${components."+m[1]+".address}")
			return process.Value{}, false
		}
		return process.Value{Component: m[1], Output: m[2]}, true
	}
	var b strings.Builder
	for rest := s; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			return process.Value{Literal: b.String()}, true
		}
		if i == 0 || rest[i-1] != '$' {
			o.r.problem(o.at(name), fmt.Sprintf("%q is no placeholder that towpath fills in", s),
				"a placeholder is the whole value: ${components.NAME.address}; a literal ${ is written $${")
			return process.Value{}, false
		}
		b.WriteString(rest[:i-1] + "${")
		rest = rest[i+2:]
	}
}
