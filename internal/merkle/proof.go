package merkle

import (
	"golang.org/x/mod/sumdb/tlog"

	"github.com/towpath/towpath/internal/towpath"
)

// Proof is a list of hashes that leads to a root.
type Proof []Hash

// ProveInclusion proves that leaf number leaf, from 0, is in the tree of size.
func ProveInclusion(size, leaf int64, r Reader) (Proof, error) {
	if leaf < 0 || leaf >= size {
		return nil, towpath.E(towpath.KindInvalid, "merkle.inclusion", "entry %d is not in a log of %d entries", leaf+1, size)
	}
	p, err := tlog.ProveRecord(size, leaf, r)
	return Proof(p), err
}

// CheckInclusion checks that the leaf with hash h is number leaf, from 0, of
// the tree of size with root.
func CheckInclusion(p Proof, size int64, root Hash, leaf int64, h Hash) error {
	if err := tlog.CheckRecord(tlog.RecordProof(p), size, root, leaf, h); err != nil {
		return towpath.E(towpath.KindConflict, "merkle.inclusion", "the proof does not show entry %d in the log of %d entries", leaf+1, size).
			WithHint("the log or the proof was altered; verify the whole ledger").WithCause(err)
	}
	return nil
}

// ProveConsistency proves that the tree of size newer begins with that of size
// older.
func ProveConsistency(older, newer int64, r Reader) (Proof, error) {
	if older < 0 || older > newer {
		return nil, towpath.E(towpath.KindInvalid, "merkle.consistency", "a log of %d entries can't begin with %d", newer, older)
	}
	if older == 0 || older == newer {
		return nil, nil
	}
	p, err := tlog.ProveTree(newer, older, r)
	return Proof(p), err
}

// CheckConsistency checks that nothing of the older tree was changed or
// dropped in the newer one.
func CheckConsistency(p Proof, older, newer Checkpoint) error {
	var err error
	switch {
	case older.Size == 0:
	case older.Size == newer.Size && older.Root == newer.Root:
	case older.Size >= newer.Size:
		err = errShrunk(older, newer)
	default:
		err = tlog.CheckTree(tlog.TreeProof(p), newer.Size, newer.Root, older.Size, older.Root)
	}
	if err != nil {
		return towpath.E(towpath.KindConflict, "merkle.consistency", "the log of %d entries does not continue the one of %d", newer.Size, older.Size).
			WithHint("entries were altered or dropped; verify the whole ledger against the checkpoint that you kept").WithCause(err)
	}
	return nil
}
