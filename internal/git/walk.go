package git

import (
	"bytes"
	"context"
	"io"
	"io/fs"

	"github.com/towpath/towpath/internal/towpath"
)

// Entry is one file or symbolic link of a commit's tree.
type Entry struct {
	Path   string      // slash-separated, relative to the top of the repository
	Mode   fs.FileMode // 0644, 0755, or a symlink
	OID    string      // object ID of the content: equal IDs, equal content
	Size   int64       // bytes
	Target string      // of a symlink; it stays inside the tree

	blobs *blobs
}

// IsLink reports whether the entry is a symbolic link.
func (e Entry) IsLink() bool { return e.Mode&fs.ModeSymlink != 0 }

// Open reads the exact content of a file (of a link, its target). The reader
// is good until the next Open or until the walk goes on; to read it to its end
// checks the content against OID. A Git LFS pointer is refused.
func (e Entry) Open() (io.ReadCloser, error) {
	b, err := e.blobs.open(e)
	if err != nil {
		return nil, err
	}
	if e.Size <= maxPointer && !e.IsLink() {
		start, err := e.blobs.out.Peek(int(min(e.Size, int64(len(pointerStart)))))
		if err != nil {
			return nil, e.blobs.broken(err)
		}
		if bytes.Equal(start, pointerStart) {
			return nil, towpath.E(towpath.KindInvalid, e.blobs.op, "%q is a Git LFS pointer: its content is not in this repository", e.Path).
				WithHint("commit the file itself (`git lfs migrate export`), or fetch it in the component's build")
		}
	}
	return b, nil
}

// What a Git LFS pointer begins with, and its greatest size:
// https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
var pointerStart = []byte("version https://git-lfs.github.com/spec/")

const maxPointer = 1024

// Walk calls fn for every file and link of a commit's tree below the selected
// paths, in the byte order of their paths. All of them are checked before the
// first call: see [Limits]; submodules and links that leave the tree are
// refused. The first error of fn ends the walk and is returned.
func (r *Repository) Walk(ctx context.Context, commit towpath.CommitID, sel Selection, fn func(Entry) error) error {
	const op = "git.walk"
	return r.walk(ctx, op, commit, sel, false, fn)
}

// walk is Walk; with all, fn must open every file.
func (r *Repository) walk(ctx context.Context, op string, commit towpath.CommitID, sel Selection, all bool, fn func(Entry) error) error {
	entries, err := r.list(ctx, op, commit, sel)
	if err != nil {
		return err
	}
	blobs, err := r.blobs(ctx, op)
	if err != nil {
		return err
	}
	defer blobs.close()
	links := links{}
	for i := range entries {
		entries[i].blobs = blobs
		if entries[i].IsLink() {
			if err := links.read(op, &entries[i]); err != nil {
				return err
			}
		}
	}
	if err := links.check(op); err != nil {
		return err
	}
	if all {
		blobs.askAhead(entries)
	}
	for _, e := range entries {
		if ctx.Err() != nil { // git may have answered all there is already
			return context.Cause(ctx)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}
