package blob

import (
	"bytes"
	"io"
	"os"
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

func spoolError(err error) error {
	return diskError("blob.put", "what is on its way to the object store can't be kept", err)
}

// section reads a part; sections may be read side by side.
func (s *spool) section(from, n int64) *io.SectionReader {
	if s.file == nil {
		return io.NewSectionReader(bytes.NewReader(s.buf), from, n)
	}
	return io.NewSectionReader(s.file, from, n)
}

// Close forgets the content.
func (s *spool) Close() {
	if s.file != nil {
		_ = s.file.Close() // nothing in it is needed any more
	}
}
