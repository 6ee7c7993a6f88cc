package blob

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/towpath/towpath/internal/towpath"
)

// spoolMemory is how much of a content a spool keeps in memory before it makes
// a file, in bytes.
const spoolMemory = 256 << 10

// spool keeps a content until it is sent, so that it can be sent again. Its
// file has no name: when the process dies, nothing is left of it.
type spool struct {
	dir  string
	buf  []byte   // all of it, while there is no file
	file *os.File // all of it, once it is large
	size int64    // bytes
}

func newSpool(dir string) *spool { return &spool{dir: dir} }

// Write appends.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.buf)+len(p) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, spoolError(err)
		}
	}
	if s.file == nil {
		s.buf = append(s.buf, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		err = spoolError(err)
	}
	return n, err
}

// spill moves what is in memory into a file.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "towpath-spool-*")
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	_, err = f.Write(s.buf)
	s.buf = nil
	return err
}

// spoolError explains why a spool can't be written or read.
func spoolError(err error) error {
	const op, what = "blob.put", "what is on its way to the object store can't be kept on this machine"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return towpath.E(towpath.KindExhausted, op, "%s: its disk is full", what).
			WithHint("make room for the largest blobs that are sent at once, then try again; nothing was acknowledged").WithCause(err)
	}
	return towpath.E(towpath.KindUnavailable, op, "%s", what).
		WithHint("let the user that runs towpath write to the folder spool in --data; nothing was acknowledged").WithCause(err)
}

// ReadAt reads what was written; many may read side by side.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	if s.file == nil {
		return bytes.NewReader(s.buf).ReadAt(p, off)
	}
	n, err := s.file.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = spoolError(err) // the object store is not to blame
	}
	return n, err
}

// Close forgets the content.
func (s *spool) Close() {
	if s.file != nil {
		_ = s.file.Close() // nothing in it is needed any more
	}
}
