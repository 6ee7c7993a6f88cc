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
	Version int     `yaml:"version"`
	Entries []Entry `yaml:"entries"`
}

// Entry is one reference and what it was found to stand for.
type Entry struct {
	Name    string               `yaml:"name" json:"name"` // of the reference: see [towpath.External]
	Kind    towpath.ExternalKind `yaml:"kind,omitempty" json:"kind,omitempty"`
	Version string               `yaml:"version,omitempty" json:"version,omitempty"` // exact; of a chart, or of a module of a registry
	Ref     string               `yaml:"ref,omitempty" json:"ref,omitempty"`         // in full; under which the commit was found
	Commit  string               `yaml:"commit,omitempty" json:"commit,omitempty"`   // of a module of a git repository
	Digest  towpath.Digest       `yaml:"digest,omitempty" json:"digest,omitempty"`   // of an image's manifest, or of a chart
}

// What is what the entry stands for, for people.
func (e Entry) What() string {
	switch {
	case e.Version != "" && e.Digest != "":
		return e.Version + " (" + string(e.Digest) + ")"
	case e.Commit != "" && e.Ref != "":
		return e.Commit + " (" + e.Ref + ")"
	}
	return cmp.Or(e.Version, e.Commit, string(e.Digest))
}

// Find is the entry of a reference.
func (l *Lock) Find(name string) (Entry, bool) {
	if l == nil {
		return Entry{}, false
	}
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, false
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
	entries := slices.SortedFunc(slices.Values(l.Entries), func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
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
