package faultfs

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
)

// ErrCrashed is the error of every operation while the machine is down.
var ErrCrashed = errors.New("the machine is down")

// Reboot is the file system as a machine that went down now would find it. Of
// each name that was not synced, and of the content of each file that was not,
// chance decides what reached the disk. The old file system is of no use any
// more; several reboots of it show several fates.
func (f *FS) Reboot(chance *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	r := &rebooter{chance: chance, made: map[*node]*node{}}
	return &FS{root: r.survive(f.root), fail: map[int]error{}}
}

// Corrupt flips a bit of the file at a path, as a failing disk does.
func (f *FS) Corrupt(path string, at int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.find(path)
	if n == nil || at >= len(n.data) {
		return errors.New("there is no such byte")
	}
	n.data = slices.Clone(n.data)
	n.data[at] ^= 1
	n.synced = n.data
	return nil
}

type rebooter struct {
	chance *rand.Rand
	made   map[*node]*node // a file with two names stays one file
}

func (r *rebooter) survive(n *node) *node {
	if m := r.made[n]; m != nil {
		return m
	}
	if !n.dir {
		m := &node{data: r.content(n)}
		m.synced = m.data
		r.made[n] = m
		return m
	}
	m := newDir()
	r.made[n] = m
	all := maps.Clone(n.durable)
	maps.Copy(all, n.names)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, now := n.durable[name], n.names[name]
		kept := before
		if before != now && r.chance.IntN(2) == 0 {
			kept = now
		}
		if kept != nil {
			m.names[name] = r.survive(kept)
		}
	}
	m.durable = maps.Clone(m.names)
	return m
}

// content is what the disk has of a file: what was synced, all of it, a part,
// or the right length with holes. What was synced and only appended to since is
// never damaged.
func (r *rebooter) content(n *node) []byte {
	if slices.Equal(n.data, n.synced) {
		return slices.Clone(n.data)
	}
	safe := 0
	if bytes.HasPrefix(n.data, n.synced) {
		safe = len(n.synced)
	}
	switch r.chance.IntN(4) {
	case 0:
		return slices.Clone(n.data)
	case 1:
		return slices.Clone(n.data[:safe+r.chance.IntN(len(n.data)-safe+1)])
	case 2:
		torn := slices.Clone(n.data)
		clear(torn[safe+r.chance.IntN(len(torn)-safe+1):])
		return torn
	}
	return slices.Clone(n.synced)
}
