package git

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/towpath"
)

// Limits bound what is read of a commit's tree. They are checked on git's
// listing, before any content is read or written.
type Limits struct {
	Entries   int   // files and links
	Bytes     int64 // of all together
	FileBytes int64 // of each
	Depth     int   // path elements
}

// WithDefaults fills in the limits that are zero.
func (l Limits) WithDefaults() Limits {
	fill := func(n *int64, to int64) {
		if *n <= 0 {
			*n = to
		}
	}
	fill(&l.Bytes, 4<<30)
	fill(&l.FileBytes, 1<<30)
	if l.Entries <= 0 {
		l.Entries = 200_000
	}
	if l.Depth <= 0 {
		l.Depth = 64
	}
	return l
}

// checker reads and judges the entries of one tree, in order.
type checker struct {
	op     string
	limits Limits
	count  int
	bytes  int64
	last   string
	leaves map[string]bool
	dirs   map[string]bool
}

func (c *checker) entry(record string) (Entry, error) {
	meta, name, ok := strings.Cut(record, "\t")
	f := strings.Fields(meta)
	if !ok || len(f) != 4 || !commitPattern.MatchString(f[2]) {
		return Entry{}, towpath.E(towpath.KindInternal, c.op, "git ls-tree printed an entry that can't be read")
	}
	if err := c.path(name); err != nil {
		return Entry{}, err
	}
	e := Entry{Path: name, OID: f[2]}
	switch f[0] {
	case "100644", "100664":
		e.Mode = 0o644
	case "100755":
		e.Mode = 0o755
	case "120000":
		e.Mode = fs.ModeSymlink | 0o777
	case "160000":
		return Entry{}, towpath.E(towpath.KindInvalid, c.op, "%q is a submodule: its files are not in this commit", name).
			WithHint("commit the files themselves, or leave this path out of every component")
	default:
		return Entry{}, towpath.E(towpath.KindInvalid, c.op, "%q has the unknown mode %s", name, f[0]).
			WithHint("`git fsck` names the tree: it was not made by git")
	}
	var err error
	if e.Size, err = strconv.ParseInt(f[3], 10, 64); err != nil {
		return Entry{}, towpath.E(towpath.KindInternal, c.op, "the content of %q is not in the repository", name).
			WithHint("`git fsck` says what is missing; a partial clone must fetch its objects first")
	}
	return e, c.size(e)
}

func (c *checker) size(e Entry) error {
	c.count++
	c.bytes += e.Size
	exhausted := func(format string, args ...any) error {
		return towpath.E(towpath.KindExhausted, c.op, format, args...).
			WithHint("take what is not needed out of the component's path, or raise the limit")
	}
	switch l := c.limits; {
	case c.count > l.Entries:
		return exhausted("the tree has more than %d files", l.Entries)
	case e.Size > l.FileBytes:
		return exhausted("%q has %d bytes, more than the limit of %d", e.Path, e.Size, l.FileBytes)
	case c.bytes > l.Bytes:
		return exhausted("the tree has more than %d bytes", l.Bytes)
	}
	return nil
}

// path refuses names that git itself never commits but a crafted tree may
// have, and those that a release can't carry.
func (c *checker) path(name string) error {
	if !utf8.ValidString(name) {
		return towpath.E(towpath.KindInvalid, c.op, "the file name %q is not valid UTF-8", name).
			WithHint("rename the file; a release's file names are UTF-8")
	}
	parts := strings.Split(name, "/")
	if len(parts) > c.limits.Depth {
		return towpath.E(towpath.KindExhausted, c.op, "%q is more than %d directories deep", name, c.limits.Depth).
			WithHint("move it up, or raise the limit")
	}
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || strings.EqualFold(p, ".git") || len(p) > 255 {
			return towpath.E(towpath.KindInvalid, c.op, "the tree has the forbidden file name %q", name).
				WithHint("`git fsck` names the commit that brought it in: remove it from history")
		}
	}
	for dir := path.Dir(name); dir != "." && !c.dirs[dir]; dir = path.Dir(dir) {
		if c.leaves[dir] {
			return c.twice(dir)
		}
		c.dirs[dir] = true
	}
	if c.last >= name && c.last != "" || c.dirs[name] {
		return c.twice(name)
	}
	c.last, c.leaves[name] = name, true
	return nil
}

func (c *checker) twice(name string) error {
	return towpath.E(towpath.KindInvalid, c.op, "the tree is damaged: %q stands in it twice or out of order", name).
		WithHint("`git fsck` names the tree: it was not made by git")
}
