package faultfs

import (
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

// file is an open file.
type file struct {
	fs       *FS
	node     *node
	path     string
	offset   int
	writable bool
}

// Read reads on.
func (f *file) Read(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("read", f.path); err != nil {
		return 0, err
	}
	if f.offset >= len(f.node.data) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[f.offset:])
	f.offset += n
	return n, nil
}

// Write appends; nothing of it is durable before Sync.
func (f *file) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("write", f.path); err != nil {
		return 0, err
	}
	if !f.writable {
		return 0, &fs.PathError{Op: "write", Path: f.path, Err: fs.ErrPermission}
	}
	f.node.data = append(f.node.data, p...)
	return len(p), nil
}

// Sync makes the content durable, but not its name.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("sync", f.path); err != nil {
		return err
	}
	f.node.synced = slices.Clone(f.node.data)
	return nil
}

// Close closes the file and makes nothing durable.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.begin("close", f.path)
}

// Stat describes the file.
func (f *file) Stat() (fs.FileInfo, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.begin("fstat", f.path); err != nil {
		return nil, err
	}
	return info{name: filepath.Base(f.path), size: int64(len(f.node.data))}, nil
}
