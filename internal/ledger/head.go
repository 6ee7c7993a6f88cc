package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// head is the tree that the sequencer has built.
type head struct {
	size int64
	root merkle.Hash
}

// readHead is the head of the tree; the empty tree when none was built.
func readHead(ctx context.Context, q sqldb.Querier) (head, error) {
	h := head{root: merkle.EmptyRoot()}
	var root []byte
	err := q.QueryRow(ctx, `SELECT size, root FROM ledger_head WHERE id = 1`).Scan(&h.size, &root)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return h, nil
	case err != nil:
		return head{}, sqldb.MapError("ledger.head", err)
	case len(root) != merkle.HashSize:
		return head{}, fmt.Errorf("the root of the ledger's tree has %d bytes", len(root))
	}
	h.root = merkle.Hash(root)
	return h, nil
}

// swapHead replaces the head that was read, unless a sequencer with a higher
// fence was here.
func swapHead(ctx context.Context, tx *sqldb.Tx, from, to head, fence int64) error {
	res, err := tx.Exec(ctx, `INSERT INTO ledger_head (id, size, root, fence) VALUES (1, $1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET size = excluded.size, root = excluded.root, fence = excluded.fence
		WHERE ledger_head.size = $4 AND ledger_head.fence <= excluded.fence`, to.size, to.root[:], fence, from.size)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return towpath.E(towpath.KindLocked, "ledger.sequence", "another sequencer has moved the head")
}

// readCheckpoint is the newest signed checkpoint as a note; empty when nothing
// was signed.
func readCheckpoint(ctx context.Context, q sqldb.Querier) (note string, epoch, size int64, err error) {
	err = q.QueryRow(ctx, `SELECT note, epoch, size FROM checkpoint ORDER BY epoch DESC LIMIT 1`).Scan(&note, &epoch, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, 0, nil
	}
	return note, epoch, size, sqldb.MapError("ledger.checkpoint", err)
}

// writeCheckpoint keeps the newest checkpoint of its epoch.
func writeCheckpoint(ctx context.Context, tx *sqldb.Tx, s signed) error {
	_, err := tx.Exec(ctx, `INSERT INTO checkpoint (epoch, size, note) VALUES ($1, $2, $3)
		ON CONFLICT (epoch) DO UPDATE SET size = excluded.size, note = excluded.note
		WHERE checkpoint.size < excluded.size`, s.cp.Epoch, s.cp.Size, s.note)
	return err
}

// signHead signs a head of an epoch.
func (l *Ledger) signHead(h head, epoch int64) (signed, error) {
	cp := merkle.Checkpoint{Origin: l.verifier.Name(), Size: h.size, Root: h.root, Epoch: epoch}
	note, err := l.cfg.Key.Sign(cp)
	return signed{note, cp}, err
}

// Checkpoint is the newest signed checkpoint, as the note to be kept elsewhere
// and as what it says. Before the first event was sequenced it is not found.
func (l *Ledger) Checkpoint(ctx context.Context) (note string, cp merkle.Checkpoint, err error) {
	note, _, _, err = readCheckpoint(ctx, l.db)
	if err != nil {
		return "", merkle.Checkpoint{}, err
	}
	if note == "" {
		return "", merkle.Checkpoint{}, towpath.E(towpath.KindNotFound, "ledger.checkpoint", "the ledger has no checkpoint yet").
			WithHint("the first one is signed when the first event was sequenced")
	}
	cp, err = l.verifier.Open(note)
	return note, cp, err
}
