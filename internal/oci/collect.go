package oci

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/towpath"
)

// collect lists what is at and below paths, and the folders that lead there,
// sorted so that a folder comes before what is in it.
func (p *packer) collect(op string, paths []string) ([]string, error) {
	names := map[string]bool{}
	for _, at := range paths {
		at = path.Clean(at)
		if !fs.ValidPath(at) {
			return nil, towpath.E(towpath.KindInvalid, op, "%q is not a path inside the component's folder", at).On(at).
				WithHint("use a relative path without ..")
		}
		if err := p.parents(op, at, names); err != nil {
			return nil, err
		}
		err := fs.WalkDir(p.fsys, at, func(name string, _ fs.DirEntry, err error) error {
			if err == nil {
				err = p.ctx.Err()
			}
			if err != nil {
				return err
			}
			if !utf8.ValidString(name) {
				return towpath.E(towpath.KindInvalid, op, "the name %q is not UTF-8", name).On(strings.ToValidUTF8(name, "�")).
					WithHint("rename it")
			}
			names[name] = true
			return nil
		})
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, towpath.E(towpath.KindInvalid, op, "there is no %q", at).On(at).WithCause(err)
			}
			return nil, packError(op, at, err)
		}
	}
	delete(names, ".")
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted, nil
}

// parents adds the folders above a path. A link among them would be followed
// by who asked for the path, and not be in the layer.
func (p *packer) parents(op, at string, names map[string]bool) error {
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		info, err := fs.Lstat(p.fsys, dir)
		if err != nil {
			return packError(op, at, err)
		}
		if !info.IsDir() {
			return towpath.E(towpath.KindInvalid, op, "%q is not a folder, so %q can't be packed", dir, at).On(at)
		}
		names[dir] = true
	}
	return nil
}
