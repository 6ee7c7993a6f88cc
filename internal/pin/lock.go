package pin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/towpath/towpath/internal/towpath"
)

// LockFile is where a repository keeps its lock.
const LockFile = "towpath.lock"

// lockVersion is the one that this package reads and writes.
const lockVersion = 1

// Lock is a towpath.lock: what the project's references from outside stand for.
type Lock struct {
	Version int           `yaml:"version"`
	Entries []towpath.Pin `yaml:"entries"`
}

// Find is the pin of a reference.
func (l *Lock) Find(name string) (towpath.Pin, bool) {
	if l == nil {
		return towpath.Pin{}, false
	}
	i := slices.IndexFunc(l.Entries, func(e towpath.Pin) bool { return e.Name == name })
	if i < 0 {
		return towpath.Pin{}, false
	}
	return l.Entries[i], true
}

// ParseLock reads a lock file.
func ParseLock(src []byte) (l *Lock, err error) {
	wrong := func(format string, args ...any) *towpath.Error {
		return towpath.E(towpath.KindInvalid, "pin.lock", "%s: %s", LockFile, fmt.Sprintf(format, args...)).
			WithHint("towpath lock writes it: restore the last good one from history, or remove it and lock anew")
	}
	defer func() { // what the library does not survive is a problem of the file
		if p := recover(); p != nil {
			l, err = nil, wrong("it can't be read")
		}
	}()
	if !Shallow(src) {
		return nil, wrong("it is nested too deeply")
	}
	l = &Lock{}
	if err := yaml.UnmarshalWithOptions(src, l, yaml.Strict()); err != nil {
		return nil, wrong("it can't be read").WithCause(err)
	}
	if l.Version != lockVersion {
		return nil, wrong("version %d is not known; this Towpath reads %d", l.Version, lockVersion)
	}
	seen := map[string]bool{}
	for i, e := range l.Entries {
		switch {
		case e.Name == "" || e.Digest == "" && e.Version == "" && e.Commit == "":
			return nil, wrong("entry %d has no name, or neither digest nor version nor commit", i+1)
		case e.Digest != "" && !e.Digest.Valid():
			return nil, wrong("the digest of %q is none", e.Name)
		case e.Commit != "" && !isCommit(e.Commit):
			return nil, wrong("the commit of %q is none", e.Name)
		case e.Kind != "" && !slices.Contains(kinds(), e.Kind):
			return nil, wrong("%q is of a kind %q, which is not known", e.Name, e.Kind)
		case seen[e.Name]:
			return nil, wrong("%q is locked twice", e.Name)
		}
		seen[e.Name] = true
	}
	return l, nil
}

func kinds() []towpath.ExternalKind {
	return []towpath.ExternalKind{towpath.ExternalImage, towpath.ExternalChart, towpath.ExternalModule, towpath.ExternalProvider}
}

// Format writes a lock file: the same entries give the same bytes, in whatever
// order they are.
func (l *Lock) Format() []byte {
	entries := slices.SortedFunc(slices.Values(l.Entries), func(a, b towpath.Pin) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	fmt.Fprintf(&out, "# What this project's references from outside stand for. `towpath lock` writes it; commit it.\nversion: %d\n", lockVersion)
	if len(entries) == 0 {
		out.WriteString("entries: []\n")
		return out.Bytes()
	}
	out.WriteString("entries:\n")
	for _, e := range entries {
		lead := "  - "
		for _, f := range []struct{ key, value string }{
			{"name", quoted(e.Name)}, {"kind", string(e.Kind)}, {"version", quoted(e.Version)},
			{"ref", quoted(e.Ref)}, {"commit", quoted(e.Commit)}, {"digest", string(e.Digest)},
		} {
			if f.value != "" {
				out.WriteString(lead + f.key + ": " + f.value + "\n")
				lead = "    "
			}
		}
	}
	return out.Bytes()
}

// quoted is a text that YAML reads as a string, whatever it looks like.
func quoted(s string) string {
	if s == "" {
		return ""
	}
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string encodes
	return strings.TrimSpace(out.String())
}
