package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// Epoch is a life of the database between two restores from a backup.
type Epoch struct {
	Number int64     `json:"number"`
	Since  time.Time `json:"since,omitzero"`
	Size   int64     `json:"size"` // of the ledger when it began
	Reason string    `json:"reason"`
}

// Epoch is the present one.
func (l *Ledger) Epoch(ctx context.Context) (Epoch, error) { return readEpoch(ctx, l.db) }

func readEpoch(ctx context.Context, q sqldb.Querier) (Epoch, error) {
	var e Epoch
	var since int64
	err := q.QueryRow(ctx, `SELECT epoch, since, size, reason FROM ledger_meta ORDER BY epoch DESC LIMIT 1`).
		Scan(&e.Number, &since, &e.Size, &e.Reason)
	e.Since = sqldb.Time(since)
	return e, sqldb.MapError("ledger.epoch", err)
}

// BumpEpoch starts the next epoch after a restore of the database, while no
// other server runs: it records the event ev, whose Reason says where the
// restore came from, raises all fences above any that were given out before,
// and signs the restored head, from which everything goes on. Checkpoints carry
// the epoch, so that a client whose checkpoint is ahead of the restored ledger
// learns why. It is a conflict when the ledger continues what this server
// signed last, for then nothing was restored; and when the database does not
// continue its own checkpoint, for then it is no copy of what was signed.
func (l *Ledger) BumpEpoch(ctx context.Context, ev towpath.Event) (Epoch, error) {
	s := l.sequencer
	s.mu.Lock()
	defer s.mu.Unlock()
	var next Epoch
	var first signed
	err := l.db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if err := sqldb.AdvanceFences(ctx, tx); err != nil { // and keeps sequencers out
			return err
		}
		st, err := l.restored(ctx, tx)
		if err != nil {
			return err
		}
		next = Epoch{Number: max(st.epoch.Number, s.last.cp.Epoch) + 1, Since: ev.At, Size: st.head.size, Reason: ev.Reason}
		if first, err = l.signHead(st.head, next.Number); err != nil {
			return err
		}
		if err := writeCheckpoint(ctx, tx, first); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO ledger_meta (epoch, since, size, reason) VALUES ($1, $2, $3, $4)`,
			next.Number, sqldb.Micros(next.Since), next.Size, next.Reason); err != nil {
			return err
		}
		if ev.Data, err = json.Marshal(next); err != nil {
			return err
		}
		return l.Append(ctx, tx, ev)
	})
	if err != nil {
		return Epoch{}, err
	}
	s.found = standing{}
	s.lease = sqldb.Lease{} // its fence is among those that were left behind
	// The epoch stands: the next pass tries again, and a server that starts
	// finds it in the database.
	_ = s.refuse(ctx, s.last.keep(first))
	return next, nil
}

// restored reads a database that is said to be restored.
func (l *Ledger) restored(ctx context.Context, tx *sqldb.Tx) (standing, error) {
	const op = "ledger.restored"
	st, err := readStanding(ctx, tx, l.verifier)
	if err == nil {
		err = st.sound(ctx, tx)
	}
	if err == nil && st.last.note == "" && st.head.size > 0 {
		err = towpath.E(towpath.KindConflict, op, "the database has %d entries and no checkpoint", st.head.size)
	}
	if towpath.KindOf(err) == towpath.KindConflict {
		return st, towpath.E(towpath.KindConflict, op, "the database is not as any server has signed it, and so no copy of one").
			WithHint("restore another backup").WithCause(err)
	}
	known := l.sequencer.last.signed
	if err != nil || known.note == "" {
		return st, err
	}
	if err := st.since(ctx, tx, known); err == nil {
		return st, towpath.E(towpath.KindConflict, op, "the ledger continues the last checkpoint that this server signed: nothing was restored, or it was recorded before").
			WithHint("start the server without --restored; if the folder of ledger.key was restored from the same backup, delete ledger.checkpoint in it first")
	} else if towpath.KindOf(err) != towpath.KindConflict {
		return st, err
	}
	return st, nil
}
