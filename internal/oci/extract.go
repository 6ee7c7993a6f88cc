package oci

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/towpath/towpath/internal/towpath"
)

// ExtractOptions say how [Extract] leaves the files.
type ExtractOptions struct {
	Limits   Limits
	ReadOnly bool // files 0444 or 0555, folders 0555; see [RemoveTree]
	Sync     bool // make everything durable, but for the name of the root itself
}

// Extracted is what [Extract] wrote.
type Extracted struct {
	Files int
	Bytes int64
}

// Extract unpacks a layer into an empty folder. Names that lead out of it,
// links out of it, hard links, devices, duplicates, sparse files, anything cut
// off or appended, and more than the limits are refused with an error that
// names the entry. On an error the folder holds a part: throw it away.
//
// Extract does not know the layer's digest. Read from a blob store, whose
// reader fails before its last byte when the digest is wrong, a layer that was
// extracted without an error is the right one.
func Extract(ctx context.Context, r io.Reader, dest *os.Root, opts ExtractOptions) (Extracted, error) {
	const op = "oci.extract"
	x := &extractor{op: op, dest: dest, opts: opts, buf: make([]byte, 256<<10)}
	in := newReader(ctx, op, r, opts.Limits)
	for {
		e, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return Extracted{}, err
		}
		if err := x.entry(in, e); err != nil {
			return Extracted{}, err
		}
	}
	return x.done, x.finish()
}

type extractor struct {
	op   string
	dest *os.Root
	opts ExtractOptions
	dirs []string
	done Extracted
	buf  []byte
}

func (x *extractor) entry(in *reader, e entry) error {
	switch e.kind {
	case tar.TypeDir:
		x.dirs = append(x.dirs, e.name)
		return x.explain(e.name, x.dest.Mkdir(e.name, 0o755))
	case tar.TypeSymlink:
		x.done.Files++
		return x.explain(e.name, x.dest.Symlink(e.target, e.name))
	}
	mode := fs.FileMode(0o644)
	if e.exec {
		mode = 0o755
	}
	if x.opts.ReadOnly {
		mode &^= 0o222
	}
	f, err := x.dest.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return x.explain(e.name, err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{in.tar}, x.buf)
	x.done.Files++
	x.done.Bytes += n
	var write *fs.PathError
	if err != nil && !errors.As(err, &write) {
		_ = f.Close()
		return in.broken(e.name, err)
	}
	if err == nil {
		err = f.Chmod(mode) // whatever the umask
	}
	if err == nil && x.opts.Sync {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return x.explain(e.name, err)
}

// finish gives the folders their mode, the deepest first: one that can't be
// written can't be filled.
func (x *extractor) finish() error {
	mode := fs.FileMode(0o755)
	if x.opts.ReadOnly {
		mode = 0o555
	}
	for _, name := range slices.Backward(append([]string{"."}, x.dirs...)) {
		if x.opts.Sync {
			if err := x.syncDir(name); err != nil {
				return x.explain(name, err)
			}
		}
		if err := x.dest.Chmod(name, mode); err != nil {
			return x.explain(name, err)
		}
	}
	return nil
}

func (x *extractor) syncDir(name string) error {
	d, err := x.dest.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (x *extractor) explain(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return towpath.E(towpath.KindExhausted, x.op, "the disk is full").On(shown(name)).
			WithHint("make room on the disk, then try again").WithCause(err)
	case errors.Is(err, fs.ErrExist):
		return towpath.E(towpath.KindConflict, x.op, "%q is there already", shown(name)).On(shown(name)).
			WithHint("extract into an empty folder").WithCause(err)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return exceeded(x.op, name, "a part of the name %q is longer than this file system allows", shown(name)).WithCause(err)
	}
	return towpath.E(towpath.KindUnavailable, x.op, "%q can't be written", shown(name)).On(shown(name)).WithCause(err)
}

// RemoveTree removes an extracted folder, also a read-only one.
func RemoveTree(dir string) error {
	const op = "oci.remove"
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return towpath.E(towpath.KindUnavailable, op, "%q can't be removed", dir).WithCause(err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			// Before its entries are listed: WalkDir calls for the folder first.
			err = root.Chmod(name, 0o700)
		}
		return err
	})
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return towpath.E(towpath.KindUnavailable, op, "%q can't be removed", dir).WithCause(err)
	}
	return nil
}
