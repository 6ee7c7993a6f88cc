package evidence

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// GoModules reads the modules that a go.mod requires, with their sums from its
// go.sum (which may be missing). Modules replaced by a folder are left out: the
// folder is of the same repository.
func GoModules(gomod, gosum []byte) ([]Package, error) {
	f, err := modfile.Parse("go.mod", gomod, nil)
	if err != nil {
		return nil, err
	}
	replaced := map[module.Version]module.Version{}
	for _, r := range f.Replace {
		replaced[r.Old] = r.New
	}
	sums := goSums(gosum)
	var all []Package
	for _, r := range f.Require {
		m := r.Mod
		for _, old := range []module.Version{m, {Path: m.Path}} { // of this version, or of all
			if to, ok := replaced[old]; ok {
				m = to
				break
			}
		}
		if m.Version == "" {
			continue
		}
		all = append(all, Package{
			PURL: "pkg:golang/" + escaped(m.Path) + "@" + escaped(m.Version), Name: m.Path, Version: m.Version,
			Hash: sums[m], Scope: ScopeRequired,
		})
	}
	return sorted(all), nil
}

// goSums are the sums of modules' content. As a hash of files they are "h1:",
// a SHA-256 over the names and SHA-256 sums of the files; bills of materials
// carry it as cyclonedx-gomod does.
func goSums(gosum []byte) map[module.Version]Hash {
	sums := map[module.Version]Hash{}
	lines := bufio.NewScanner(bytes.NewReader(gosum))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || strings.HasSuffix(fields[1], "/go.mod") {
			continue
		}
		if sum, ok := strings.CutPrefix(fields[2], "h1:"); ok {
			if raw, err := base64.StdEncoding.DecodeString(sum); err == nil && len(raw) == 32 {
				sums[module.Version{Path: fields[0], Version: fields[1]}] = Hash{"SHA-256", hex.EncodeToString(raw)}
			}
		}
	}
	return sums
}

// NPMPackages reads the packages of a package-lock.json of version 2 or 3.
// Packages of the same repository (workspaces) are left out.
func NPMPackages(lock []byte) ([]Package, error) {
	var file struct {
		Version  int `json:"lockfileVersion"`
		Packages map[string]struct {
			Name      string `json:"name"` // of an alias
			Version   string `json:"version"`
			Integrity string `json:"integrity"`
			Link      bool   `json:"link"`
			Dev       bool   `json:"dev"`
			Optional  bool   `json:"optional"`
			Either    bool   `json:"devOptional"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(lock, &file); err != nil {
		return nil, errors.New("it is no JSON of a lock file")
	}
	if file.Version != 2 && file.Version != 3 {
		return nil, fmt.Errorf("its lockfileVersion is %d; 2 and 3 are read: run npm install with npm 7 or later", file.Version)
	}
	var all []Package
	for at, p := range file.Packages {
		i := strings.LastIndex(at, "node_modules/")
		if i < 0 || p.Link {
			continue
		}
		name := cmp.Or(p.Name, at[i+len("node_modules/"):])
		scope := ScopeRequired
		switch {
		case p.Dev:
			scope = ScopeExcluded
		case p.Optional, p.Either:
			scope = ScopeOptional
		}
		all = append(all, Package{
			PURL: "pkg:npm/" + escaped(name) + "@" + escaped(p.Version), Name: name, Version: p.Version,
			Hash: integrity(p.Integrity), Scope: scope,
		})
	}
	return sorted(all), nil
}

// integrity reads the strongest sum of a subresource integrity text.
func integrity(text string) Hash {
	for _, algorithm := range []struct {
		prefix, name string
		size         int
	}{{"sha512-", "SHA-512", 64}, {"sha384-", "SHA-384", 48}, {"sha256-", "SHA-256", 32}, {"sha1-", "SHA-1", 20}} {
		for field := range strings.FieldsSeq(text) {
			sum, ok := strings.CutPrefix(field, algorithm.prefix)
			if raw, err := base64.StdEncoding.DecodeString(sum); ok && err == nil && len(raw) == algorithm.size {
				return Hash{algorithm.name, hex.EncodeToString(raw)}
			}
		}
	}
	return Hash{}
}

// escaped is a name as a package URL has it: its slashes stay.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
	}
	return strings.Join(parts, "/")
}

// sorted orders packages by their URL, the required before the others.
func sorted(all []Package) []Package {
	slices.SortFunc(all, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.PURL, b.PURL), cmp.Compare(a.Scope.rank(), b.Scope.rank()), cmp.Compare(a.Hash.Sum, b.Hash.Sum))
	})
	return slices.CompactFunc(all, func(a, b Package) bool { return a.PURL == b.PURL })
}
