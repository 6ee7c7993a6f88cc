package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/towpath"
)

const block = 512 // bytes of a tar's record

// entry is one checked entry of a layer. Its content is read from the reader.
type entry struct {
	name   string // clean, relative, slash-separated
	kind   byte   // tar.TypeDir, tar.TypeReg or tar.TypeSymlink
	size   int64
	exec   bool
	target string // of a link
}

// reader reads a layer, entry by entry, and accepts nothing that [Pack] would
// not have written: so what it yields can be created below a root in the order
// in which it comes.
type reader struct {
	ctx    context.Context
	op     string
	tar    *tar.Reader
	src    *source
	limits Limits
	seen   map[string]byte // what was seen, and its kind
	last   int64           // offset at which the last entry's header ended
	size   int64           // of the last entry
}

func newReader(ctx context.Context, op string, r io.Reader, limits Limits) *reader {
	limits = limits.withDefaults()
	src := &source{ctx: ctx, op: op, r: r, limit: limits.Bytes}
	return &reader{ctx: ctx, op: op, tar: tar.NewReader(src), src: src, limits: limits, seen: map[string]byte{}}
}

// next is the next entry; io.EOF after the last one, when the archive's end
// was found and nothing comes after it.
func (r *reader) next() (entry, error) {
	h, err := r.tar.Next()
	if err == io.EOF {
		return entry{}, r.end()
	} else if err != nil {
		return entry{}, r.broken("", err)
	}
	r.last, r.size = r.src.n, h.Size
	if len(r.seen) >= r.limits.Entries {
		return entry{}, exceeded(r.op, h.Name, "the layer has more than %d entries", r.limits.Entries)
	}
	e := entry{name: strings.TrimSuffix(h.Name, "/"), kind: h.Typeflag, size: h.Size, exec: h.Mode&0o100 != 0, target: h.Linkname}
	if err := r.checkType(h); err != nil {
		return entry{}, err
	}
	if err := r.checkName(e.name); err != nil {
		return entry{}, err
	}
	if e.kind == tar.TypeSymlink {
		if len(e.target) > r.limits.NameLen {
			return entry{}, exceeded(r.op, e.name, "the target of %q is longer than %d bytes", shown(e.name), r.limits.NameLen)
		}
		if problem := linkProblem(e.name, e.target); problem != "" {
			return entry{}, refused(r.op, e.name, "the link %q %s", shown(e.name), problem)
		}
	}
	r.seen[e.name] = e.kind
	return e, nil
}

func (r *reader) checkType(h *tar.Header) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return refused(r.op, h.Name, "%q is a sparse file", shown(h.Name))
		}
	}
	var what string
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
		if h.Typeflag != tar.TypeReg && h.Size != 0 {
			return refused(r.op, h.Name, "%q has content but is no file", shown(h.Name))
		}
		if (h.Typeflag == tar.TypeDir) != strings.HasSuffix(h.Name, "/") {
			return refused(r.op, h.Name, "the name of %q and its type don't agree", shown(h.Name))
		}
		return nil
	case tar.TypeLink:
		what = "a hard link"
	case tar.TypeChar, tar.TypeBlock:
		what = "a device"
	case tar.TypeFifo:
		what = "a named pipe"
	case tar.TypeGNUSparse:
		what = "a sparse file"
	default:
		what = "of a type that layers don't have"
	}
	return refused(r.op, h.Name, "%q is %s", shown(h.Name), what)
}

func (r *reader) checkName(name string) error {
	switch {
	case len(name) > r.limits.NameLen:
		return exceeded(r.op, name, "the name %q is longer than %d bytes", shown(name), r.limits.NameLen)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return refused(r.op, strings.ToValidUTF8(name, "�"), "the name %q is not UTF-8 text", shown(name))
	case name == "" || name == "." || path.Clean(name) != name:
		return refused(r.op, name, "the name %q is not a clean path", shown(name))
	case path.IsAbs(name):
		return refused(r.op, name, "the name %q is absolute", shown(name))
	case name == ".." || strings.HasPrefix(name, "../"):
		return refused(r.op, name, "the name %q leads out of the folder", shown(name))
	case strings.Count(name, "/") >= r.limits.Depth:
		return exceeded(r.op, name, "the name %q is deeper than %d folders", shown(name), r.limits.Depth)
	}
	if _, twice := r.seen[name]; twice {
		return refused(r.op, name, "the name %q comes twice", shown(name))
	}
	if dir := path.Dir(name); dir != "." && r.seen[dir] != tar.TypeDir {
		return refused(r.op, name, "%q is in %q, which is not a folder of the layer", shown(name), shown(dir))
	}
	return nil
}

// end accepts the end of the archive if it is exactly two empty records after
// the last entry, and nothing more.
func (r *reader) end() error {
	want := r.last + (r.size+block-1)/block*block + 2*block
	// The tar package takes any end of the input for the archive's end, also
	// one in the middle of an extended header.
	if r.src.n < want || r.src.zeros < 2*block {
		return refused(r.op, "", "the layer is cut off")
	}
	if r.src.n > want {
		return refused(r.op, "", "the layer has something between its last entry and its end")
	}
	n, err := io.ReadFull(r.src, make([]byte, 1))
	if n > 0 {
		return refused(r.op, "", "the layer has something after its end")
	}
	if err != io.EOF {
		return r.broken("", err)
	}
	return io.EOF
}

// broken explains an error of reading. Errors of the source are kept: a blob's
// reader says by them that the content is not what it should be.
func (r *reader) broken(name string, err error) error {
	var known *towpath.Error
	if errors.As(err, &known) || r.ctx.Err() != nil {
		return err
	}
	if r.src.err != nil {
		return towpath.E(towpath.KindUnavailable, r.op, "the layer can't be read").On(shown(name)).WithCause(err)
	}
	return refused(r.op, name, "the layer is not a well-formed tar archive").WithCause(err)
}

// source counts and limits what is read of a layer.
type source struct {
	ctx   context.Context
	op    string
	r     io.Reader
	n     int64
	limit int64
	zeros int64 // bytes at the end of what was read
	err   error // of r
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if rest := len(bytes.TrimRight(p[:n], "\x00")); rest > 0 {
		s.zeros = int64(n - rest)
	} else {
		s.zeros += int64(n)
	}
	if s.n > s.limit {
		return n, exceeded(s.op, "", "the layer is larger than %d bytes", s.limit)
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
