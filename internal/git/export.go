package git

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/towpath/towpath/internal/towpath"
)

// Exported counts what an export wrote.
type Exported struct {
	Files int
	Links int
	Bytes int64
}

// Export writes the selected part of a commit's tree below root, at the paths
// that it has in the repository: the exact blobs, whatever .gitattributes,
// filters and line-ending settings say. Files are 0644 or 0755 and directories
// 0755 regardless of the umask. Nothing outside root is touched.
//
// The places that it writes must not exist yet; directories may. What can be
// refused (see [Repository.Walk]) is refused before anything is written, but
// for Git LFS pointers and damage; after an error the caller removes root.
func (r *Repository) Export(ctx context.Context, commit towpath.CommitID, root *os.Root, sel Selection) (Exported, error) {
	const op = "git.export"
	x := exporter{root: root, op: op, made: map[string]bool{".": true}, buf: make([]byte, 256<<10)}
	if err := r.walk(ctx, op, commit, sel, true, x.write); err != nil {
		return Exported{}, err
	}
	return x.done, nil
}

type exporter struct {
	root *os.Root
	op   string
	made map[string]bool // directories
	buf  []byte
	done Exported
}

func (x *exporter) write(e Entry) error {
	if err := x.dir(path.Dir(e.Path)); err != nil {
		return x.failed(e.Path, err)
	}
	if e.IsLink() {
		if err := x.root.Symlink(e.Target, e.Path); err != nil {
			return x.failed(e.Path, err)
		}
		x.done.Links++
		return nil
	}
	content, err := e.Open()
	if err != nil {
		return err
	}
	if err := x.file(e, content); err != nil {
		return x.failed(e.Path, err)
	}
	x.done.Files++
	x.done.Bytes += e.Size
	return nil
}

func (x *exporter) file(e Entry, content io.Reader) error {
	f, err := x.root.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.Mode)
	if err != nil {
		return err
	}
	// The file's own ReadFrom would allocate a buffer for each file.
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, content, x.buf)
	return errors.Join(err, f.Chmod(e.Mode), f.Close())
}

// dir makes a directory and those above it.
func (x *exporter) dir(name string) error {
	if x.made[name] {
		return nil
	}
	if err := x.dir(path.Dir(name)); err != nil {
		return err
	}
	err := x.root.Mkdir(name, 0o755)
	if err == nil {
		err = x.root.Chmod(name, 0o755)
	} else if errors.Is(err, fs.ErrExist) {
		var info fs.FileInfo
		if info, err = x.root.Lstat(name); err == nil && !info.IsDir() {
			err = fs.ErrExist
		}
	}
	x.made[name] = err == nil
	return err
}

func (x *exporter) failed(name string, err error) error {
	var known *towpath.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrExist):
		return towpath.E(towpath.KindConflict, x.op, "%q exists already where the commit is exported to", name).
			WithHint("export into an empty directory").WithCause(err)
	}
	return towpath.E(towpath.KindUnavailable, x.op, "%q could not be written", name).
		WithHint("check the space and the permissions of the directory that is exported to").WithCause(err)
}
