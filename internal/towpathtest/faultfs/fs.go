package faultfs

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/blob"
)

// FS is the file system. Its zero value is not usable; see [New].
type FS struct {
	mu      sync.Mutex
	root    *node
	ops     int           // that were done
	fail    map[int]error // operation number → its error
	crash   int           // operation number at which the machine goes down
	down    bool
	journal []string // names of the operations, for messages
}

var _ blob.FS = (*FS)(nil)

// node is a file or a directory.
type node struct {
	dir    bool
	data   []byte // now
	synced []byte // would survive a crash
	names  map[string]*node
	// modified is when the file was made, or what Chtimes said.
	modified time.Time
	durable  map[string]*node // names that would survive a crash
}

func newDir() *node {
	return &node{dir: true, names: map[string]*node{}, durable: map[string]*node{}}
}

// New is an empty file system whose operations all succeed.
func New() *FS { return &FS{root: newDir(), fail: map[int]error{}} }

// FailAt makes the n-th operation from now on (1 is the next) fail with err and
// change nothing.
func (f *FS) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[f.ops+n] = err
}

// CrashAt makes the machine go down instead of doing the n-th operation from
// now on: it and all later ones fail with [ErrCrashed] until [FS.Reboot].
func (f *FS) CrashAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crash = f.ops + n
}

// Ops is how many operations there have been.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Journal names the operations so far.
func (f *FS) Journal() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.journal)
}

// begin counts an operation; the caller holds mu.
func (f *FS) begin(op, path string) error {
	if f.down {
		return &fs.PathError{Op: op, Path: path, Err: ErrCrashed}
	}
	f.ops++
	f.journal = append(f.journal, op+" "+path)
	if f.crash > 0 && f.ops >= f.crash {
		f.down = true
		return &fs.PathError{Op: op, Path: path, Err: ErrCrashed}
	}
	if err := f.fail[f.ops]; err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

func split(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(r rune) bool { return r == '/' })
}

// find is the node at a path, or nil.
func (f *FS) find(path string) *node {
	n := f.root
	for _, part := range split(path) {
		if n = n.names[part]; n == nil {
			return nil
		}
	}
	return n
}

// parent is the directory of a path and the name in it.
func (f *FS) parent(op, path string) (*node, string, error) {
	dir := f.find(filepath.Dir(path))
	if dir == nil || !dir.dir {
		return nil, "", &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
	}
	return dir, filepath.Base(path), nil
}

// MkdirAll makes a directory and those above it; none is durable yet.
func (f *FS) MkdirAll(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("mkdir", path); err != nil {
		return err
	}
	n := f.root
	for _, part := range split(path) {
		if n.names[part] == nil {
			n.names[part] = newDir()
		}
		n = n.names[part]
	}
	return nil
}

// Create makes a file.
func (f *FS) Create(path string) (blob.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("create", path); err != nil {
		return nil, err
	}
	dir, name, err := f.parent("create", path)
	if err != nil {
		return nil, err
	}
	if dir.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	n := &node{modified: time.Now()}
	dir.names[name] = n
	return &file{fs: f, node: n, path: path, writable: true}, nil
}

// Open opens a file for reading.
func (f *FS) Open(path string) (blob.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("open", path); err != nil {
		return nil, err
	}
	n := f.find(path)
	if n == nil || n.dir {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &file{fs: f, node: n, path: path}, nil
}

// Rename gives a file another name, over the one that has it.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("rename", from+" "+to); err != nil {
		return err
	}
	a, old, err := f.parent("rename", from)
	if err != nil {
		return err
	}
	b, name, err := f.parent("rename", to)
	if err != nil {
		return err
	}
	if a.names[old] == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	b.names[name] = a.names[old]
	delete(a.names, old)
	return nil
}

// Remove removes a file's name.
func (f *FS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("remove", path); err != nil {
		return err
	}
	dir, name, err := f.parent("remove", path)
	if err != nil {
		return err
	}
	if dir.names[name] == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	delete(dir.names, name)
	return nil
}

// Chtimes gives a file a time; a crash may undo that.
func (f *FS) Chtimes(path string, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("chtimes", path); err != nil {
		return err
	}
	n := f.find(path)
	if n == nil {
		return &fs.PathError{Op: "chtimes", Path: path, Err: fs.ErrNotExist}
	}
	n.modified = at
	return nil
}

// Stat describes what is at a path.
func (f *FS) Stat(path string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("stat", path); err != nil {
		return nil, err
	}
	n := f.find(path)
	if n == nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
	}
	return info{name: filepath.Base(path), size: int64(len(n.data)), dir: n.dir, modified: n.modified}, nil
}

// ReadDir lists a directory by name.
func (f *FS) ReadDir(path string) ([]fs.DirEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("readdir", path); err != nil {
		return nil, err
	}
	n := f.find(path)
	if n == nil || !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: fs.ErrNotExist}
	}
	var out []fs.DirEntry
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		child := n.names[name]
		out = append(out, fs.FileInfoToDirEntry(info{name: name, size: int64(len(child.data)), dir: child.dir, modified: child.modified}))
	}
	return out, nil
}

// SyncDir makes the names in a directory durable.
func (f *FS) SyncDir(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("syncdir", path); err != nil {
		return err
	}
	n := f.find(path)
	if n == nil || !n.dir {
		return &fs.PathError{Op: "syncdir", Path: path, Err: fs.ErrNotExist}
	}
	n.durable = maps.Clone(n.names)
	return nil
}

type info struct {
	name     string
	size     int64
	dir      bool
	modified time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o400
}
