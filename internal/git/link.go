package git

import (
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

const (
	maxTarget = 4095 // bytes, of Linux
	maxHops   = 40   // links on the way to one file, of Linux
)

// links are the symbolic links of a tree: path to target.
type links map[string]string

func (l links) read(op string, e *Entry) error {
	if e.Size > maxTarget || e.Size == 0 {
		return towpath.E(towpath.KindInvalid, op, "the symlink %q has no target that a file system can hold", e.Path).
			WithHint("replace it by the file itself")
	}
	content, err := e.Open()
	if err != nil {
		return err
	}
	target, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	e.Target = string(target)
	l[e.Path] = e.Target
	return nil
}

// check refuses links that lead out of the tree. Each is followed as a kernel
// would, through the other links: `a/..` is not the directory of a when a is
// itself a link to somewhere deeper or higher.
func (l links) check(op string) error {
	for _, at := range slices.Sorted(maps.Keys(l)) {
		target := l[at]
		if strings.ContainsRune(target, 0) || path.IsAbs(target) || !l.inside(at) {
			return towpath.E(towpath.KindInvalid, op, "the symlink %q leads out of the tree, to %q", at, target).
				WithHint("make it relative and inside the repository, or replace it by the file itself")
		}
	}
	return nil
}

// inside follows the link at a path and reports whether it stays in the tree.
func (l links) inside(at string) bool {
	var here []string // where the walk is: no links in it
	todo := strings.Split(at, "/")
	for hops := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(here) == 0 {
				return false
			}
			here = here[:len(here)-1]
			continue
		}
		here = append(here, part)
		target, ok := l[strings.Join(here, "/")]
		if !ok {
			continue
		}
		if hops++; hops > maxHops || path.IsAbs(target) {
			return false
		}
		here = here[:len(here)-1]
		todo = append(strings.Split(target, "/"), todo...)
	}
	return true
}
