package pin

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Limits on files that are read for references, in bytes.
const (
	MaxFile = 1 << 20
	maxJSON = 32 << 20 // much of it is data; manifests have at most MaxFile
)

// Limit is how large a file of a name may be, to be read.
func Limit(name string) int64 {
	if strings.HasSuffix(name, ".json") && !terraformName.MatchString(name) {
		return maxJSON
	}
	return MaxFile
}

// Found is a reference and where it stands.
type Found struct {
	Reference towpath.External
	File      string // relative to the root of the repository
	Line      int    // 1 is the first; 0: of the file as a whole
	// Use is the component and the name that it is declared under
	// ("api.cache"); empty: it was found in a file.
	Use string
	// Exact: a lock file of the tool itself says that it is this version, and
	// has hashes of it.
	Exact bool
	// Unknown says why nobody can say what it is: a variable has no value, or a
	// file can't be read. Such a reference can't be locked.
	Unknown string
}

// Place is where it stands, for people.
func (f Found) Place() string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

// Pinned is the entry of a reference that can't move as it is written: an image
// or a module of a registry of images with a digest, a git module with a whole
// commit, a provider in Terraform's own lock file.
func (f Found) Pinned() (towpath.Pin, bool) {
	e := towpath.Pin{Name: f.Reference.String(), Kind: f.Reference.Kind}
	if f.Unknown != "" {
		return e, false
	}
	switch e.Kind {
	case towpath.ExternalImage:
		n, err := ParseImage(f.Reference.Source)
		e.Digest = n.Digest
		return e, err == nil && n.Digest != ""
	case towpath.ExternalProvider:
		e.Version = f.Reference.Version
		return e, f.Exact
	case towpath.ExternalModule:
		if o, err := ParseOCIModule(f.Reference.Source); err == nil {
			e.Digest = o.Digest
			return e, o.Digest != ""
		}
		g, err := ParseGit(f.Reference.Source)
		e.Commit = g.Ref
		return e, err == nil && g.IsCommit()
	}
	return e, false
}

// Declared are the references that the project file itself has.
func Declared(file string, components []towpath.ComponentSpec) []Found {
	var out []Found
	for _, c := range components {
		for _, u := range c.Uses {
			out = append(out, Found{Reference: u.Reference, File: file, Line: u.Line, Use: string(c.Name) + "." + u.Name})
		}
	}
	return out
}

var (
	dockerfileName = regexp.MustCompile(`(?i)^(?:(?:Docker|Container)file(?:\..+)?|.+\.(?:docker|container)file)$`)
	composeName    = regexp.MustCompile(`^(?:.+[._-])?(?:docker-compose.*|compose(?:[._-].*)?)\.ya?ml$`)
	chartTemplate  = regexp.MustCompile(`(^|/)templates/`)
	manifestName   = regexp.MustCompile(`\.(?:ya?ml|json)$`)
)

// Wanted says whether a file of this name may have references.
func Wanted(name string) bool {
	base := path.Base(name)
	return dockerfileName.MatchString(base) && !strings.HasSuffix(strings.ToLower(base), ".dockerignore") || manifestName.MatchString(base) ||
		kustomizationName.MatchString(base) || terraformName.MatchString(base) || base == providerLock
}

// Scan finds the references of one file that [Wanted] names: images that
// Dockerfiles begin with, copy from or mount, those of Kubernetes' manifests and
// compose's YAML, what kustomize fetches, the charts that a Chart.yaml depends
// on, Terraform's modules and providers.
// What it can't read may have some, and is found as unknown, as is a file
// without content, which was too large. What a chart's template makes is only
// known once it was rendered, and is passed over.
func Scan(name string, src []byte) []Found {
	var s Scanner
	s.Add(name, src)
	return s.Found()
}

// scan finds the references of a file that says all by itself.
func scan(name string, src []byte) []Found {
	base := path.Base(name)
	var out []Found
	var err error
	switch {
	case src == nil:
		err = fmt.Errorf("it has more than %d bytes, and may name something from outside", Limit(name))
	case dockerfileName.MatchString(base):
		out = dockerfile(src)
	case chartTemplate.MatchString(name) && !kustomizationName.MatchString(base) && bytes.Contains(src, []byte("{{")):
		out, _ = manifests(base, withoutActions(src))
		out = slices.DeleteFunc(out, func(f Found) bool { return strings.Contains(f.Reference.Source, made) })
	case strings.HasSuffix(base, ".json"):
		out, err = jsonManifests(src)
	default:
		out, err = manifests(base, src)
	}
	if err != nil {
		out = append(out, Found{Unknown: err.Error()})
	}
	for i := range out {
		out[i].File = name
	}
	return out
}

// made stands where a template puts something.
const made = "MADE-BY-A-TEMPLATE"

var actions = regexp.MustCompile(`(?s)\{\{.*?\}\}`)

// withoutActions is a template with its lines where they were, and the actions
// taken out that have a line of their own. What is left may be YAML.
func withoutActions(src []byte) []byte {
	lines := bytes.SplitAfter(actions.ReplaceAllFunc(src, func(a []byte) []byte {
		return append([]byte(made), bytes.Repeat([]byte("\n"), bytes.Count(a, []byte("\n")))...)
	}), []byte("\n"))
	for i, l := range lines {
		if string(bytes.ReplaceAll(bytes.TrimSpace(l), []byte(made), nil)) == "" {
			lines[i] = []byte("\n")
		}
	}
	return bytes.Join(lines, nil)
}

// image is an image that stands somewhere; a name that is none is unknown.
func image(text string, line int) Found {
	ref, err := Image(text)
	f := Found{Reference: ref, Line: line}
	if err != nil {
		f.Unknown = err.Error()
	}
	return f
}
