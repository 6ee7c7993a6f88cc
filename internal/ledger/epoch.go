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

// BumpEpoch starts the next epoch after a restore of the database: it records
// the event ev, whose Reason says where the restore came from, and raises all
// fences above any that were given out before. Checkpoints carry the epoch, so
// that a client whose checkpoint is ahead of the restored ledger learns why.
func (l *Ledger) BumpEpoch(ctx context.Context, ev towpath.Event) (Epoch, error) {
	var next Epoch
	err := l.db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		now, err := readEpoch(ctx, tx)
		if err != nil {
			return err
		}
		h, err := readHead(ctx, tx)
		if err != nil {
			return err
		}
		next = Epoch{Number: now.Number + 1, Since: ev.At, Size: h.size, Reason: ev.Reason}
		if _, err := tx.Exec(ctx, `INSERT INTO ledger_meta (epoch, since, size, reason) VALUES ($1, $2, $3, $4)`,
			next.Number, sqldb.Micros(next.Since), next.Size, next.Reason); err != nil {
			return err
		}
		if err := sqldb.AdvanceFences(ctx, tx); err != nil {
			return err
		}
		if ev.Data, err = json.Marshal(next); err != nil {
			return err
		}
		return l.Append(ctx, tx, ev)
	})
	l.sequencer.forget() // its fence is among those that were left behind
	return next, err
}
