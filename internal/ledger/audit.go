package ledger

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/towpath/towpath/internal/merkle"
)

// audit recomputes the tree from leaf hashes, in order, and compares it with
// the stored hashes and with the roots that somebody vouches for.
type audit struct {
	tree    *merkle.Builder
	expect  []expectation // by size
	good    int64         // size of the largest root that was confirmed
	scratch []merkle.Hash
}

// expectation is a root that the ledger must have had at a size.
type expectation struct {
	size   int64
	root   merkle.Hash
	source string
	since  string // of the source, added to what is found
}

func newAudit(expect ...expectation) *audit {
	slices.SortStableFunc(expect, func(a, b expectation) int { return cmp.Compare(a.size, b.size) })
	tree, err := merkle.NewBuilder(0, nil)
	if err != nil {
		panic(err) // the empty tree reads nothing
	}
	return &audit{tree: tree, expect: expect}
}

// add takes the next leaf. stored is the stored hashes that were written with
// it and later ones, nil to leave them unchecked; rest is what remains of it.
func (a *audit) add(leaf merkle.Hash, stored []byte) (rest []byte, found *Finding) {
	index := merkle.StoredCount(a.tree.Size())
	a.scratch = a.tree.Append(leaf, a.scratch[:0])
	if stored != nil {
		for i, h := range a.scratch {
			if len(stored) < merkle.HashSize {
				return stored, bad(ProblemTree, a.tree.Size(), "", "the tree's stored hashes for it are missing")
			}
			if !bytes.Equal(stored[:merkle.HashSize], h[:]) {
				return stored, treeFinding(index + int64(i))
			}
			stored = stored[merkle.HashSize:]
		}
	}
	return stored, a.roots()
}

// roots compares the present root with those expected at this size.
func (a *audit) roots() *Finding {
	size := a.tree.Size()
	for len(a.expect) > 0 && a.expect[0].size <= size {
		e := a.expect[0]
		a.expect = a.expect[1:]
		if e.size == size && e.root != a.tree.Root() {
			f := bad(ProblemRoot, a.good+1, "", "the entries are not those of %s at size %d; at least one was altered together with its hashes%s", e.source, e.size, e.since)
			f.Through = e.size
			return f
		}
		a.good = e.size
	}
	return nil
}

func treeFinding(index int64) *Finding {
	first, last := merkle.Span(index)
	if first == last {
		return bad(ProblemReplaced, first+1, "", "it is not the entry that was sequenced here: it was replaced or reordered")
	}
	f := bad(ProblemTree, first+1, "", "the tree's hash over them is not that of their leaves")
	f.Through = last + 1
	return f
}
