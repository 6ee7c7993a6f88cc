package replicate

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// folderWriter writes a layout into a folder beside its place.
type folderWriter struct {
	root      *os.Root
	tmp, path string
}

func (w *folderWriter) put(name string, _ int64, write func(io.Writer) error) error {
	if err := w.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return unwritable(name, err)
	}
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return unwritable(name, err)
	}
	if err := write(writing{f, name}); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return unwritable(name, err)
	}
	return nil
}

func (w *folderWriter) finish() error {
	err := errors.Join(w.root.Chmod(".", 0o755), w.sync(), w.root.Close())
	if err == nil {
		err = os.Rename(w.tmp, w.path) // over an empty folder at most
	}
	if err != nil {
		return errors.Join(unwritable(w.path, err), os.RemoveAll(w.tmp))
	}
	return syncFolder(filepath.Dir(w.path))
}

// sync makes the names of the files durable, as their content is.
func (w *folderWriter) sync() error {
	return fs.WalkDir(w.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return syncFolder(filepath.Join(w.tmp, name))
	})
}

func (w *folderWriter) abandon() error {
	return errors.Join(w.root.Close(), os.RemoveAll(w.tmp))
}

// archiveWriter writes a layout into an archive beside its place. Of each file
// only name and content are in it: the same files give the same bytes.
type archiveWriter struct {
	file *os.File
	path string
	end  int64 // of what is whole
	dirs map[string]bool
}

func (w *archiveWriter) put(name string, size int64, write func(io.Writer) error) error {
	if err := w.folders(path.Dir(name)); err != nil {
		return err
	}
	return w.entry(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}, write)
}

// folders writes the folders that lead to a file, once.
func (w *archiveWriter) folders(name string) error {
	if name == "." || w.dirs[name] {
		return nil
	}
	if err := w.folders(path.Dir(name)); err != nil {
		return err
	}
	if err := w.entry(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}, nil); err != nil {
		return err
	}
	if w.dirs == nil {
		w.dirs = map[string]bool{}
	}
	w.dirs[name] = true
	return nil
}

// entry writes one entry after the last whole one. Each has a writer of its
// own: one that failed is written over by the same, of the same size.
func (w *archiveWriter) entry(h *tar.Header, write func(io.Writer) error) error {
	if _, err := w.file.Seek(w.end, io.SeekStart); err != nil {
		return unwritable(h.Name, err)
	}
	h.ModTime = time.Unix(0, 0)
	t := tar.NewWriter(w.file)
	if err := t.WriteHeader(h); err != nil {
		return unwritable(h.Name, err)
	}
	if write != nil {
		if err := write(writing{t, h.Name}); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return unwritable(h.Name, err)
	}
	at, err := w.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return unwritable(h.Name, err)
	}
	w.end = at
	return nil
}

func (w *archiveWriter) finish() error {
	err := tar.NewWriter(w.file).Close()
	if err == nil {
		err = errors.Join(w.file.Chmod(0o644), w.file.Sync())
	}
	if err = errors.Join(err, w.file.Close()); err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		return errors.Join(unwritable(w.path, err), os.Remove(w.file.Name()))
	}
	return syncFolder(filepath.Dir(w.path))
}

func (w *archiveWriter) abandon() error {
	return errors.Join(w.file.Close(), os.Remove(w.file.Name()))
}

// writing tells errors of the disk from those of what is read.
type writing struct {
	io.Writer
	name string
}

// Write implements [io.Writer].
func (w writing) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = unwritable(w.name, err)
	}
	return n, err
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return unwritable(name, err)
	}
	return nil
}
