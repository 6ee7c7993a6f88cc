package blob

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// FS is what [Disk] asks of a file system, so that tests can crash it between
// any two operations. [OS] is the real one.
type FS interface {
	MkdirAll(path string) error
	// Create makes a new file for writing that its owner can only read later;
	// one that exists is an error.
	Create(path string) (File, error)
	Open(path string) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// Chtimes gives a file the time at which it was last modified.
	Chtimes(path string, at time.Time) error
	Stat(path string) (fs.FileInfo, error)
	// ReadDir lists a directory in the order of names.
	ReadDir(path string) ([]fs.DirEntry, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
}

// File is an open file of an [FS].
type File interface {
	io.Reader
	io.Writer
	io.Closer
	// Sync makes the content durable.
	Sync() error
	Stat() (fs.FileInfo, error)
}

// OS is the operating system's file system.
type OS struct{}

// MkdirAll makes a directory and its parents for the owner alone.
func (OS) MkdirAll(path string) error { return os.MkdirAll(path, 0o700) }

// Create makes a read-only file, open for writing.
func (OS) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
}

// Open opens a file for reading.
func (OS) Open(path string) (File, error) { return os.Open(path) }

// Rename moves a file, over another one if there is one.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove removes a file.
func (OS) Remove(path string) error { return os.Remove(path) }

// Chtimes gives a file the time at which it was last modified.
func (OS) Chtimes(path string, at time.Time) error { return os.Chtimes(path, at, at) }

// Stat describes a file.
func (OS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// ReadDir lists a directory.
func (OS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// SyncDir syncs a directory. File systems that can't sync one (some network
// ones) say EINVAL; they order names themselves.
func (OS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
