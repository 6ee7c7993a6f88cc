package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// standing is what the database says of the ledger, on one snapshot. Whoever
// can write to the database may have written it.
type standing struct {
	head  head
	epoch Epoch
	last  signed // opened with the ledger's key
}

// readStanding fails as a conflict when the checkpoint is not one that the
// ledger's key signed.
func readStanding(ctx context.Context, tx *sqldb.Tx, v *merkle.Verifier) (st standing, err error) {
	if st.head, err = readHead(ctx, tx); err != nil {
		return st, err
	}
	if st.epoch, err = readEpoch(ctx, tx); err != nil {
		return st, err
	}
	note, epoch, size, err := readCheckpoint(ctx, tx)
	if err != nil || note == "" {
		return st, err
	}
	cp, err := v.Open(note)
	if err == nil && (cp.Epoch != epoch || cp.Size != size) {
		err = fmt.Errorf("its row says size %d, epoch %d", size, epoch)
	}
	if err != nil {
		return st, errRewritten("the checkpoint in the database is not one that the ledger's key signed", err)
	}
	st.last = signed{note, cp}
	return st, nil
}

// sound checks that the head continues the checkpoint in the database, and
// that no epoch has begun which nobody signed.
func (st standing) sound(ctx context.Context, tx *sqldb.Tx) error {
	if err := st.continues(ctx, tx, st.last); err != nil {
		return err
	}
	if st.last.note != "" && st.epoch.Number != st.last.cp.Epoch {
		return errRewritten(fmt.Sprintf("the database is of epoch %d, and the last checkpoint that was signed of epoch %d", st.epoch.Number, st.last.cp.Epoch), nil)
	}
	return nil
}

// since checks also that the head continues known, which was signed with the
// same key and kept elsewhere. A checkpoint of a later epoch in the database
// ends what was known: only who has the key can have made it.
func (st standing) since(ctx context.Context, tx *sqldb.Tx, known signed) error {
	if err := st.sound(ctx, tx); err != nil {
		return err
	}
	switch {
	case known.note == "" || known.note == st.last.note || st.last.note != "" && st.last.cp.Epoch > known.cp.Epoch:
		return nil
	case st.epoch.Number != known.cp.Epoch:
		return errRewritten(fmt.Sprintf("the database is of epoch %d, and the last checkpoint that was signed of epoch %d", st.epoch.Number, known.cp.Epoch), nil)
	}
	return st.continues(ctx, tx, known)
}

// continues proves by the tree's hashes that the head begins with what c
// covers. It reads as many as the tree is high.
func (st standing) continues(ctx context.Context, tx *sqldb.Tx, c signed) error {
	if c.note == "" {
		return nil
	}
	var proof merkle.Proof
	if c.cp.Size < st.head.size {
		var err error
		if proof, err = merkle.ProveConsistency(c.cp.Size, st.head.size, tree{ctx, tx}); err != nil {
			if !errors.Is(err, errNoHash) {
				return err
			}
			return errRewritten("hashes of the ledger's tree are missing in the database", err)
		}
	}
	if err := merkle.CheckConsistency(proof, c.cp, merkle.Checkpoint{Size: st.head.size, Root: st.head.root}); err != nil {
		return errRewritten(fmt.Sprintf("the ledger in the database, of %d entries, does not continue the last checkpoint that was signed, of %d entries",
			st.head.size, c.cp.Size), err)
	}
	return nil
}

// errRewritten says that the database is not the one that was signed.
func errRewritten(what string, cause error) error {
	return towpath.E(towpath.KindConflict, "ledger.sequence", "%s; nothing more is numbered or signed", what).
		WithHint("if the database was restored from a backup or begun anew, stop all servers and start one with --restored REASON; " +
			"otherwise somebody has altered it: keep a copy, run towpath audit verify, and restore a backup").WithCause(cause)
}
