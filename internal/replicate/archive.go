package replicate

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
)

// archive is the files of a layout in an uncompressed tar archive: where each
// one lies in it.
type archive struct {
	content io.ReaderAt
	close   func() error
	files   []file
	offset  map[string]int64
}

func openArchive(path string, limits Limits) (files, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = broken("it is neither a folder nor a file").On(path)
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, unreadable(path, err)
	}
	a, err := readArchive(f, info.Size(), limits)
	if err != nil {
		_ = f.Close() // it was only read
		return nil, err
	}
	a.close = f.Close
	return a, nil
}

// readArchive finds the files of an archive of size bytes.
func readArchive(content io.ReaderAt, size int64, limits Limits) (*archive, error) {
	a := &archive{content: content, close: func() error { return nil }, offset: map[string]int64{}}
	in := io.NewSectionReader(content, 0, size)
	r := tar.NewReader(in)
	for entries := 1; ; entries++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, a.unreadable(err)
		}
		if entries > limits.Files {
			return nil, exceeded("replicate.open-layout", "the layout has more than %d files", limits.Files)
		}
		at, err := in.Seek(0, io.SeekCurrent) // the reader buffers nothing
		if err != nil {
			return nil, unreadable(h.Name, err)
		}
		if err := a.add(h, at, size); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(a.files, byName)
	return a, nil
}

// add takes one entry in; its content begins at an offset of a whole of bytes.
func (a *archive) add(h *tar.Header, at, whole int64) error {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" && h.Typeflag == tar.TypeDir {
		name = "."
	}
	if err := checkName(name); err != nil {
		return err
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return broken("it has a sparse file").On(shown(name))
		}
	}
	switch {
	case h.Typeflag == tar.TypeDir:
		return nil
	case h.Typeflag != tar.TypeReg:
		return broken("it has something that is neither file nor folder").On(shown(name))
	case h.Size < 0 || h.Size > whole-at:
		return broken("it is cut off").On(shown(name))
	}
	if _, twice := a.offset[name]; twice {
		return broken("it has a file twice").On(shown(name))
	}
	a.offset[name] = at
	a.files = append(a.files, file{name: name, size: h.Size})
	return nil
}

func (a *archive) unreadable(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return broken("it is not an uncompressed tar archive, or is cut off").WithCause(err).
			WithHint("unpack it if it is compressed; else take it from where it was made again")
	}
	return unreadable("", err)
}

func (a *archive) list() []file { return a.files }

func (a *archive) open(name string) (io.ReadCloser, error) {
	at, found := a.offset[name]
	if !found {
		return nil, missing(name)
	}
	i, _ := slices.BinarySearchFunc(a.files, file{name: name}, byName)
	return io.NopCloser(io.NewSectionReader(a.content, at, a.files[i].size)), nil
}

func (a *archive) Close() error { return a.close() }
