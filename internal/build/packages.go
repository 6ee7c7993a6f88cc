package build

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/towpath"
)

// maxPackageFile bounds a file that lists packages, in bytes.
const maxPackageFile = 16 << 20

// Folders into which package managers put what they list, npm and the others, and
// the file with which Go says that it filled the second.
const (
	nodeModules = "node_modules"
	vendor      = "vendor"
	vendored    = "vendor/modules.txt"
)

// packages reads what a component says that it is made with. A list that can't
// be read makes the bill incomplete, which it says, and is no reason not to
// release: a build command that needs the list fails by itself.
func (r *run) packages(ctx context.Context, u unit, part *evidence.Part) error {
	add := func(at string, found []evidence.Package, unread string) {
		part.Packages = append(part.Packages, found...)
		if unread != "" {
			part.Unread = append(part.Unread, at+": "+unread)
			r.result.Warnings = append(r.result.Warnings, "the bill of materials is incomplete, because a list of packages can't be read: "+at+": "+unread)
		}
	}
	top := u.lists()
	for _, at := range top {
		found, unread, err := r.list(ctx, at)
		if err != nil {
			return err
		}
		add(at, found, unread)
	}
	known, others, err := r.below(ctx, u, top)
	if err != nil {
		return err
	}
	for _, at := range others {
		add(at, nil, "go.mod and package-lock.json are read, and no other list")
	}
	return r.read(ctx, u, known, add)
}

// lists are the files that may list a unit's packages: at the top of what it
// exports, or named themselves.
func (u unit) lists() []string {
	var at []string
	for _, p := range u.exported() {
		switch path.Base(p) {
		case "go.mod", "package-lock.json":
			at = append(at, path.Clean(p))
		default:
			at = append(at, path.Join(p, "go.mod"), path.Join(p, "package-lock.json"))
		}
	}
	return at
}

// below are the other lists in what a unit exports, by their names: those that are
// known, and those that nobody reads. What package managers have put beside a list is
// what that lists.
func (r *run) below(ctx context.Context, u unit, top []string) (known, others []string, err error) {
	var all []string
	filled := map[string]bool{}                 // what lists fill, and that Go did so
	nothing := func(string) int64 { return -1 } // of their content
	err = r.source.Files(ctx, r.commit.ID, u.exported(), isList, nothing, func(at string, _ []byte) error {
		if path.Base(at) == path.Base(vendored) {
			filled["by Go: "+path.Dir(at)] = true
			return nil
		}
		all = append(all, at)
		filled[path.Join(path.Dir(at), fills(at))] = true
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, at := range all {
		switch {
		case slices.Contains(top, at) || covered(at, filled):
		case path.Base(at) == "go.mod" || path.Base(at) == "package-lock.json":
			known = append(known, at)
		default:
			others = append(others, at)
		}
	}
	return known, others, nil
}

// isList reports whether a file lists packages, by its name, or says that they are
// beside it.
func isList(at string) bool {
	name := path.Base(at)
	switch name {
	case "Cargo.lock", "composer.lock", "conan.lock", "deno.lock", "Gemfile.lock", "gradle.lockfile", "mix.lock", "packages.lock.json",
		"Package.resolved", "pdm.lock", "Pipfile.lock", "Podfile.lock", "poetry.lock", "pubspec.lock", "uv.lock":
		return true
	}
	return fills(at) != vendor || strings.HasPrefix(name, "requirements") && path.Ext(name) == ".txt" || strings.HasSuffix("/"+at, "/"+vendored)
}

// fills is the folder that is filled with the packages of a list. Of Go's it is one
// that is told of by a file in it: others may have that name for something else.
func fills(at string) string {
	switch path.Base(at) {
	case "go.mod":
		return vendored
	case "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb":
		return nodeModules
	}
	return vendor
}

// covered reports whether a list is in a folder that a package manager filled, of
// which a list beside that folder, or above it, tells.
func covered(at string, filled map[string]bool) bool {
	names := strings.Split(at, "/")
	for i, name := range names[:len(names)-1] {
		if name != nodeModules && name != vendor {
			continue
		}
		byGo := filled["by Go: "+path.Join(names[:i+1]...)]
		for n := range i + 1 {
			above := path.Join(names[:n]...)
			if filled[path.Join(above, name)] || byGo && filled[path.Join(above, vendored)] {
				return true
			}
		}
	}
	return false
}

// read reads lists at once, in the order of their names.
func (r *run) read(ctx context.Context, u unit, known []string, add func(at string, found []evidence.Package, unread string)) error {
	if len(known) == 0 {
		return nil
	}
	wanted := map[string]bool{}
	for _, at := range known {
		wanted[at] = true
		if path.Base(at) == "go.mod" {
			wanted[sumsOf(at)] = true
		}
	}
	content, large := map[string][]byte{}, map[string]bool{}
	limit := func(string) int64 { return maxPackageFile }
	err := r.source.Files(ctx, r.commit.ID, u.exported(), func(at string) bool { return wanted[at] }, limit, func(at string, b []byte) error {
		content[at], large[at] = b, b == nil
		return nil
	})
	if err != nil {
		return err
	}
	for _, at := range known {
		if large[at] || large[sumsOf(at)] {
			add(at, nil, fmt.Sprintf("it has more than %d bytes, or its sums", maxPackageFile))
			continue
		}
		found, unread := parsed(at, content[at], content[sumsOf(at)])
		add(at, found, unread)
	}
	return nil
}

// sumsOf is the file of the sums of a go.mod.
func sumsOf(at string) string { return path.Join(path.Dir(at), "go.sum") }

// list reads the packages of one file, if the commit has it. That the file
// can't be read is told apart from that the repository can't.
func (r *run) list(ctx context.Context, at string) (found []evidence.Package, unread string, err error) {
	src, unread, err := r.optional(ctx, at)
	if src == nil {
		return nil, unread, err
	}
	var sums []byte
	if path.Base(at) == "go.mod" {
		if sums, unread, err = r.optional(ctx, sumsOf(at)); err != nil || unread != "" {
			return nil, unread, err
		}
	}
	found, unread = parsed(at, src, sums)
	return found, unread, nil
}

// parsed are the packages of a list, or why it can't be read.
func parsed(at string, src, sums []byte) (found []evidence.Package, unread string) {
	var err error
	if path.Base(at) == "go.mod" {
		found, err = evidence.GoModules(src, sums)
	} else {
		found, err = evidence.NPMPackages(src)
	}
	if err != nil {
		return found, err.Error()
	}
	return found, ""
}

// optional is a file's content; nil when the commit lacks it, or when it is no
// file or too large, which is said.
func (r *run) optional(ctx context.Context, at string) (content []byte, unread string, err error) {
	content, err = r.source.ReadFile(ctx, r.commit.ID, at, maxPackageFile)
	switch towpath.KindOf(err) {
	case "":
		return content, "", nil
	case towpath.KindNotFound:
		return nil, "", nil
	case towpath.KindExhausted, towpath.KindInvalid:
		message, _ := towpath.PublicMessage(err)
		return nil, message, nil
	}
	return nil, "", err
}
