package faultdb

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// sector is the unit, in bytes, in which a write is torn.
const sector = 512

// action is one thing that SQLite asked of the disk.
type action struct {
	kind kind
	path string
	off  int64 // of a write; the new size of a truncation
	data []byte
}

type kind int

const (
	written kind = iota
	truncated
	synced
	removed
	folderSynced // removals are durable
)

// Disk is the record of one folder, from when it was watched on.
type Disk struct {
	dir     string
	mu      sync.Mutex
	actions []action
}

// Watch records the databases that are opened in a folder from now on, until
// the end of the test binary.
func Watch(dir string) (*Disk, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := install(); err != nil {
		return nil, err
	}
	d := &Disk{dir: abs}
	disks.mu.Lock()
	defer disks.mu.Unlock()
	disks.all = append(disks.all, d)
	return d, nil
}

// disks are those that are watched. SQLite's VFS belong to the process.
var disks struct {
	mu  sync.Mutex
	all []*Disk
}

// record notes an action on whichever disk it is.
func record(a action) {
	disks.mu.Lock()
	defer disks.mu.Unlock()
	for _, d := range disks.all {
		if filepath.Dir(a.path) == d.dir && !strings.HasSuffix(a.path, "-shm") {
			d.mu.Lock()
			d.actions = append(d.actions, a)
			d.mu.Unlock()
		}
	}
}

// Now is how many actions there were: what SQLite has acknowledged by now must
// survive a cut at this moment or later.
func (d *Disk) Now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.actions)
}

// Syncs is how many of the first n actions made files durable.
func (d *Disk) Syncs(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	syncs := 0
	for _, a := range d.actions[:n] {
		if a.kind == synced {
			syncs++
		}
	}
	return syncs
}

// file is one file on a disk that loses its power.
type file struct {
	durable []byte // nil: it is not there
	pending []action
}

// Cut writes to dest, which is empty, what is there when the power goes after
// the first n actions: every synced write, and of those after the last sync
// each one or not, torn or whole, as rng says; none when rng is nil.
func (d *Disk) Cut(dest string, n int, rng *rand.Rand) error {
	d.mu.Lock()
	actions := d.actions[:n]
	d.mu.Unlock()
	files := map[string]*file{}
	for _, a := range actions {
		f := files[a.path]
		if f == nil {
			f = &file{}
			files[a.path] = f
		}
		switch a.kind {
		case synced:
			f.settle(len(f.pending))
		case folderSynced:
			for _, f := range files {
				f.settle(1 + slices.IndexFunc(f.pending, func(p action) bool { return p.kind == removed }))
			}
		default:
			f.pending = append(f.pending, a)
		}
	}
	var err error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := files[path]
		content := survive(f, rng)
		if content != nil {
			err = errors.Join(err, os.WriteFile(filepath.Join(dest, filepath.Base(path)), content, 0o600))
		}
	}
	return err
}

// settle makes the first n pending actions durable.
func (f *file) settle(n int) {
	for _, p := range f.pending[:n] {
		f.durable = apply(f.durable, p)
	}
	f.pending = f.pending[n:]
}

// survive is what is left of a file.
func survive(f *file, rng *rand.Rand) []byte {
	content := f.durable
	if content != nil {
		content = bytes.Clone(content)
	}
	if rng == nil {
		return content
	}
	for _, p := range f.pending {
		switch {
		case rng.IntN(2) == 0:
		case p.kind == written && len(p.data) > sector && rng.IntN(3) == 0:
			p.data = p.data[:sector*(1+rng.IntN(len(p.data)/sector))]
			content = apply(content, p)
		default:
			content = apply(content, p)
		}
	}
	return content
}

// apply does an action to the content of a file.
func apply(content []byte, a action) []byte {
	switch a.kind {
	case written:
		if end := int(a.off) + len(a.data); end > len(content) {
			content = append(content, make([]byte, end-len(content))...)
		}
		copy(content[a.off:], a.data)
		return content
	case truncated:
		if int(a.off) <= len(content) {
			return content[:a.off]
		}
		return append(content, make([]byte, int(a.off)-len(content))...)
	case removed:
		return nil
	}
	return content
}
