package pin

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/towpath/towpath/internal/towpath"
)

// Scanner finds the references of many files. Most stand in one file; which
// providers Terraform fetches, only the files of several folders say together.
type Scanner struct {
	found   []Found
	folders map[string]*terraformFolder
}

// terraformFolder is a module of a Terraform configuration.
type terraformFolder struct {
	local    []string // folders of the modules that it uses
	requires []placed
	implied  []placed
	lock     string // file; empty: there is none
	locked   []lockedProvider
}

// placed is a requirement and its file.
type placed struct {
	requirement
	file string
}

// Add reads a file that [Wanted] names; nil content is of one that is too large.
func (s *Scanner) Add(name string, src []byte) {
	base := path.Base(name)
	if src == nil || base != providerLock && !terraformName.MatchString(base) {
		s.found = append(s.found, scan(name, src)...)
		return
	}
	f, err := readTerraform(name, src)
	if err != nil {
		s.found = append(s.found, Found{File: name, Unknown: err.Error()})
		return
	}
	for _, m := range f.modules {
		m.File = name
		s.found = append(s.found, m)
	}
	dir := path.Dir(name)
	if s.folders == nil {
		s.folders = map[string]*terraformFolder{}
	}
	if s.folders[dir] == nil {
		s.folders[dir] = &terraformFolder{}
	}
	at := s.folders[dir]
	for _, l := range f.local {
		at.local = append(at.local, path.Join(dir, l))
	}
	for _, r := range f.requires {
		at.requires = append(at.requires, placed{r, name})
	}
	for _, r := range f.implied {
		at.implied = append(at.implied, placed{r, name})
	}
	if base == providerLock {
		at.lock, at.locked = name, f.locked
	}
}

// Found are the references of all files.
func (s *Scanner) Found() []Found {
	out := slices.Clone(s.found)
	used := map[string]bool{}
	for _, f := range s.folders {
		for _, l := range f.local {
			used[l] = true
		}
	}
	seen, reached := map[Found]bool{}, map[string]bool{}
	look := func(root string) {
		for _, x := range s.providers(root, reached) {
			if !seen[x] { // two configurations that use a module find it twice
				seen[x] = true
				out = append(out, x)
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(s.folders)) {
		if !used[dir] || s.folders[dir].lock != "" { // of others, whoever uses them decides
			look(dir)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(s.folders)) {
		if !reached[dir] { // such as two that use each other
			look(dir)
		}
	}
	slices.SortStableFunc(out, byPlace)
	return out
}

// providers are those of the configuration that begins in a folder. What its
// lock file has is pinned by that: Terraform goes by it, and it has hashes. The
// folders that it uses are added to those reached.
func (s *Scanner) providers(root string, reached map[string]bool) []Found {
	been := map[string]bool{}
	requires, implied := s.reach(root, been)
	maps.Copy(reached, been)
	f := s.folders[root]
	var out []Found
	for _, p := range f.locked {
		x := Found{File: f.lock, Line: p.line, Reference: towpath.External{Kind: towpath.ExternalProvider, Source: p.source, Version: p.version}}
		_, err := semver.StrictNewVersion(p.version)
		switch {
		case err != nil || !providerSource.MatchString(p.source):
			x.Unknown = "it is no provider with an exact version"
		case p.hashes == 0:
			x.Unknown = "it has no hashes: anything may be of that version; terraform providers lock writes them"
		default:
			x.Exact = true
		}
		out = append(out, x)
	}
	for _, r := range requires {
		if x, open := f.requirement(r); open {
			out = append(out, x)
		}
	}
	asked := map[string]bool{}
	for _, r := range implied {
		named := func(x placed) bool {
			here := x.local == r.local && (path.Dir(x.file) == path.Dir(r.file) || x.source == "")
			return here || lockedProvider{source: x.source}.is("hashicorp/"+r.local)
		}
		if builtin(r.source, r.local) || slices.ContainsFunc(requires, named) || asked[r.local] {
			continue
		}
		asked[r.local] = true
		x := Found{File: r.file, Line: r.line, Reference: towpath.External{Kind: towpath.ExternalProvider, Source: "hashicorp/" + r.local}}
		switch {
		case f.lock == "":
			x.Unknown = "nothing says which version of the provider is used: name it under required_providers, or commit " + providerLock
		case !slices.ContainsFunc(f.locked, func(p lockedProvider) bool { return p.is(x.Reference.Source) }):
			x.Unknown = f.lock + " does not have it: terraform init adds it"
		default:
			continue
		}
		out = append(out, x)
	}
	return out
}

// is says that an entry of a lock file is of a provider. One that is named
// without a host is Terraform's registry's, or OpenTofu's.
func (p lockedProvider) is(source string) bool {
	return p.source == source || p.source == DefaultRegistry+"/"+source || p.source == "registry.opentofu.org/"+source
}

// reach are the requirements of a folder and of all modules in the repository
// that it uses.
func (s *Scanner) reach(dir string, been map[string]bool) (requires, implied []placed) {
	f := s.folders[dir]
	if f == nil || been[dir] {
		return nil, nil
	}
	been[dir] = true
	requires, implied = slices.Clone(f.requires), slices.Clone(f.implied)
	for _, l := range f.local {
		r, i := s.reach(l, been)
		requires, implied = append(requires, r...), append(implied, i...)
	}
	return requires, implied
}

var (
	providerSource = regexp.MustCompile(`^([0-9A-Za-z.-]+(:[0-9]+)?/)?[0-9A-Za-z][0-9A-Za-z_-]*/[0-9A-Za-z][0-9A-Za-z_-]*$`)
	providerLocal  = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]*$`)
)

// builtin is a provider that is a part of Terraform itself.
func builtin(source, local string) bool {
	return source == "terraform.io/builtin/terraform" || source == "" && local == "terraform"
}

// requirement is what a configuration needs of a provider, unless its lock file
// says which one that is.
func (f *terraformFolder) requirement(r placed) (Found, bool) {
	if builtin(r.source, r.local) {
		return Found{}, false
	}
	x := Found{File: r.file, Line: r.line, Unknown: r.unknown, Reference: towpath.External{
		Kind: towpath.ExternalProvider, Source: r.source, Version: r.version,
	}}
	if x.Reference.Source == "" {
		x.Reference.Source = "hashicorp/" + r.local
	}
	if x.Reference.Version == "" {
		x.Reference.Version = ">= 0.0.0"
	}
	c, err := constraint(x.Reference)
	switch {
	case x.Unknown != "":
		return x, true
	case !providerSource.MatchString(x.Reference.Source) || !providerLocal.MatchString(r.local):
		x.Unknown = fmt.Sprintf("%q is no provider: write namespace/name", x.Reference.Source)
		return x, true
	case err != nil:
		x.Unknown = err.Error()
		return x, true
	case f.lock == "":
		return x, true
	}
	for _, p := range f.locked {
		if !p.is(x.Reference.Source) {
			continue
		}
		if v, err := semver.NewVersion(p.version); err == nil && c.Check(v) {
			return Found{}, false
		}
		x.Unknown = fmt.Sprintf("%s has %s, which is not allowed: terraform init -upgrade brings it up to date", f.lock, p.version)
		return x, true
	}
	x.Unknown = f.lock + " does not have it: terraform init adds it"
	return x, true
}
