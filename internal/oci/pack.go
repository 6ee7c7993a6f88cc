package oci

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/towpath"
)

// Epoch is the modification time of everything in a layer, in seconds since
// 1970 (1980-01-01, which every archive format can hold). It is not the
// commit's time, because two commits may have the same tree.
const Epoch = 315532800

// Packed is what [Pack] wrote.
type Packed struct {
	Digest towpath.Digest // of the tar
	Size   int64          // of the tar, bytes
	Files  int            // files and symbolic links
	Bytes  int64          // of the files
}

// Pack writes the files and folders at paths (slash-separated, relative to
// root, with all that is below them; "." is everything) as a tar. Equal names,
// contents, executable bits and link targets give equal bytes, whatever the
// owner, times, umask and order of the directory. Names stay relative to root.
//
// It refuses what has no place in a release: devices, sockets, pipes, links
// that lead out of root, names that are not UTF-8.
func Pack(ctx context.Context, w io.Writer, root *os.Root, paths ...string) (Packed, error) {
	const op = "oci.pack"
	sum := sha256.New()
	out := &counter{w: io.MultiWriter(w, sum)}
	p := &packer{ctx: ctx, fsys: root.FS(), tar: tar.NewWriter(out), buf: make([]byte, 256<<10)}
	names, err := p.collect(op, paths)
	if err != nil {
		return Packed{}, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return Packed{}, err
		}
		if err := p.entry(op, name); err != nil {
			return Packed{}, err
		}
	}
	if err := p.tar.Close(); err != nil {
		return Packed{}, packError(op, "", err)
	}
	p.packed.Digest, p.packed.Size = towpath.DigestFrom(sum.Sum(nil)), out.n
	return p.packed, nil
}

type packer struct {
	ctx    context.Context
	fsys   fs.FS // of a root: nothing outside it can be reached
	tar    *tar.Writer
	buf    []byte
	packed Packed
}

// entry writes one name. Every parent has been written before.
func (p *packer) entry(op, name string) error {
	info, err := fs.Lstat(p.fsys, name)
	if err != nil {
		return packError(op, name, err)
	}
	h := &tar.Header{Name: name, ModTime: time.Unix(Epoch, 0), Mode: 0o644}
	switch {
	case info.IsDir():
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, name+"/", 0o755
		return packError(op, name, p.tar.WriteHeader(h))
	case info.Mode()&fs.ModeSymlink != 0:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
		if h.Linkname, err = fs.ReadLink(p.fsys, name); err != nil {
			return packError(op, name, err)
		}
		if problem := linkProblem(name, h.Linkname); problem != "" {
			return towpath.E(towpath.KindInvalid, op, "the symbolic link %q %s", name, problem).
				On(name).WithHint("point it at something inside the component's folder, or copy the file")
		}
		p.packed.Files++
		return packError(op, name, p.tar.WriteHeader(h))
	case info.Mode().IsRegular():
		return p.file(op, name, h)
	}
	return towpath.E(towpath.KindInvalid, op, "%q is a %s, which a release can't hold", name, typeName(info.Mode())).
		On(name).WithHint("let the build remove it, or name the outputs that belong into the release")
}

func (p *packer) file(op, name string, h *tar.Header) error {
	f, err := p.fsys.Open(name)
	if err != nil {
		return packError(op, name, err)
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return packError(op, name, err)
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if info.Mode()&0o100 != 0 {
		h.Mode = 0o755
	}
	if err := p.tar.WriteHeader(h); err != nil {
		return packError(op, name, err)
	}
	// The wrapping hides ReadFrom, so that the buffer is used.
	n, err := io.CopyBuffer(struct{ io.Writer }{p.tar}, struct{ io.Reader }{f}, p.buf)
	if err == nil && n != h.Size {
		err = io.ErrUnexpectedEOF
	}
	if errors.Is(err, tar.ErrWriteTooLong) || errors.Is(err, io.ErrUnexpectedEOF) {
		return towpath.E(towpath.KindInvalid, op, "%q changed while it was packed", name).On(name).
			WithHint("let the build command wait for everything that it starts").WithCause(err)
	}
	p.packed.Files++
	p.packed.Bytes += n
	return packError(op, name, err)
}

// packError keeps errors that say what is wrong and explains the others.
func packError(op, name string, err error) error {
	var known *towpath.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return towpath.E(towpath.KindInvalid, op, "there is no %q", name).On(name).WithCause(err)
	}
	return towpath.E(towpath.KindUnavailable, op, "%q can't be packed", name).On(name).WithCause(err)
}

func typeName(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "file of an unknown type"
}

// linkProblem says why a link is refused; empty is fine. "..", where it comes
// after a name, is refused too: that name may itself be a link, and then the
// way back leads elsewhere.
func linkProblem(name, target string) string {
	if target == "" {
		return "leads nowhere"
	}
	if path.IsAbs(target) {
		return "has an absolute target"
	}
	if !utf8.ValidString(target) {
		return "has a target that is not UTF-8"
	}
	up, named := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "..":
			if named {
				return "goes up after it went down"
			}
			up++
		case part != "" && part != ".":
			named = true
		}
	}
	if up > strings.Count(name, "/") {
		return "leads out of the root"
	}
	return ""
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
