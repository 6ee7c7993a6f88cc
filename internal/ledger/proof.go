package ledger

import (
	"context"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// ProveInclusion proves that entry seq is in the ledger as it was at size.
func (l *Ledger) ProveInclusion(ctx context.Context, seq, size int64) (p merkle.Proof, err error) {
	err = l.proof(ctx, size, func(t tree) error {
		p, err = merkle.ProveInclusion(size, seq-1, t)
		return err
	})
	return p, err
}

// ProveConsistency proves that the ledger at size newer begins with all that
// it held at size older.
func (l *Ledger) ProveConsistency(ctx context.Context, older, newer int64) (p merkle.Proof, err error) {
	err = l.proof(ctx, newer, func(t tree) error {
		p, err = merkle.ProveConsistency(older, newer, t)
		return err
	})
	return p, err
}

func (l *Ledger) proof(ctx context.Context, size int64, prove func(tree) error) error {
	return l.db.View(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		h, err := readHead(ctx, tx)
		if err != nil {
			return err
		}
		if size > h.size {
			return towpath.E(towpath.KindInvalid, "ledger.proof", "the ledger has %d entries, not %d", h.size, size)
		}
		return prove(tree{ctx, tx})
	})
}
