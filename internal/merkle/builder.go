package merkle

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the tree: SHA-256 as in RFC 6962, section 2.1.
type Hash = tlog.Hash

// HashSize is the size of a [Hash] in bytes.
const HashSize = tlog.HashSize

// Reader reads stored hashes by their index; see [tlog.StoredHashIndex] for
// the order, which only ever grows at its end.
type Reader = tlog.HashReader

// LeafHash is the hash of a leaf's bytes.
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// StoredCount is how many stored hashes a tree of size leaves has.
func StoredCount(size int64) int64 { return tlog.StoredHashCount(size) }

// Span is the leaves, numbered from 0, that the stored hash at index stands
// over; first equals last for a leaf's own hash.
func Span(index int64) (first, last int64) {
	level, n := tlog.SplitStoredHashIndex(index)
	return n << level, (n+1)<<level - 1
}

// Builder appends leaves to a tree. It holds no more than the roots of the
// complete subtrees, so that it streams trees of any size.
type Builder struct {
	size int64
	tops []Hash // roots of the complete subtrees, the largest first
}

// NewBuilder continues the tree of size leaves whose stored hashes r reads.
// r is not used for an empty tree, nor later.
func NewBuilder(size int64, r Reader) (*Builder, error) {
	b := &Builder{size: size}
	if size == 0 {
		return b, nil
	}
	var indexes []int64
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	tops, err := r.ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("read the edge of the tree at size %d: %w", size, err)
	}
	b.tops = tops
	return b, nil
}

// Append adds a leaf by its hash and appends to stored the hashes to be
// stored: its own and those of the subtrees that it completes.
func (b *Builder) Append(leaf Hash, stored []Hash) []Hash {
	stored = append(stored, leaf)
	for range bits.TrailingZeros64(uint64(b.size + 1)) {
		last := len(b.tops) - 1
		leaf = tlog.NodeHash(b.tops[last], leaf)
		b.tops = b.tops[:last]
		stored = append(stored, leaf)
	}
	b.tops = append(b.tops, leaf)
	b.size++
	return stored
}

// Size is the number of leaves.
func (b *Builder) Size() int64 { return b.size }

// Root is the hash of the tree so far.
func (b *Builder) Root() Hash {
	if b.size == 0 {
		return EmptyRoot()
	}
	root := b.tops[len(b.tops)-1]
	for i := len(b.tops) - 2; i >= 0; i-- {
		root = tlog.NodeHash(b.tops[i], root)
	}
	return root
}

// EmptyRoot is the root of the tree without leaves.
func EmptyRoot() Hash {
	h, err := tlog.TreeHash(0, nil)
	if err != nil {
		panic(err) // reads nothing
	}
	return h
}

// Root is the root that the tree had at size.
func Root(size int64, r Reader) (Hash, error) { return tlog.TreeHash(size, r) }
