package replicate

import (
	"cmp"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// folder is the files of a layout in a folder. Nothing outside of it is opened,
// wherever links lead.
type folder struct {
	root  *os.Root
	files []file
}

func openFolder(path string, limits Limits) (files, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	f := &folder{root: root}
	if err := f.read(limits); err != nil {
		_ = root.Close() // it was only read
		return nil, err
	}
	return f, nil
}

func (f *folder) read(limits Limits) error {
	entries := 0
	err := fs.WalkDir(f.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return unreadable(name, err)
		}
		if entries++; entries > limits.Files {
			return exceeded("replicate.open-layout", "the layout has more than %d files", limits.Files)
		}
		if err := checkName(name); err != nil {
			return err
		}
		if e.IsDir() {
			return nil
		}
		if !e.Type().IsRegular() {
			return broken("it has something that is neither file nor folder").On(shown(name))
		}
		info, err := e.Info()
		if err != nil {
			return unreadable(name, err)
		}
		f.files = append(f.files, file{name: name, size: info.Size()})
		return nil
	})
	slices.SortFunc(f.files, byName)
	return err
}

func (f *folder) list() []file { return f.files }

func (f *folder) open(name string) (io.ReadCloser, error) {
	if _, found := slices.BinarySearchFunc(f.files, file{name: name}, byName); !found {
		return nil, missing(name)
	}
	r, err := f.root.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	return r, nil
}

func (f *folder) Close() error { return f.root.Close() }

func byName(a, b file) int { return cmp.Compare(a.name, b.name) }

// maxName and maxDepth bound the names in a layout: bytes, and folders.
const (
	maxName  = 512
	maxDepth = 16
)

// checkName refuses what no layout has, and what leads anywhere else.
func checkName(name string) error {
	switch {
	case !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00"):
		return broken("it has a name that is not a clean path inside of it").On(shown(strings.ToValidUTF8(name, "�")))
	case len(name) > maxName || strings.Count(name, "/") > maxDepth:
		return exceeded("replicate.open-layout", "the layout has a name of more than %d bytes or %d folders", maxName, maxDepth).On(shown(name))
	}
	return nil
}
