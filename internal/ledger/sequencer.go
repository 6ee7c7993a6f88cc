package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// leaseName is the lease of the one sequencer among all servers.
const leaseName = "ledger.sequencer"

// rest is how long the sequencer waits for more after each pass. A pass is two
// transactions, whatever it numbers: on SQLite, where writers queue, one after
// each event would take nearly half of the time in which anybody can write.
const rest = 20 * time.Millisecond

// Sequencer numbers committed events without gaps, grows the tree over them,
// and signs checkpoints. Any number may run; one works, by lease and fence.
type Sequencer struct {
	ledger *Ledger
	loop   *reconcile.Loop
	mu     sync.Mutex // RunOnce beside Run: one pass at a time
	lease  sqldb.Lease
	last   lastSigned
	found  standing // it continues last; none is found anew

	refusing sync.Mutex
	refused  error
}

func newSequencer(l *Ledger) (*Sequencer, error) {
	last, err := openLastSigned(l.cfg.Kept, l.verifier)
	if err != nil {
		return nil, err
	}
	s := &Sequencer{ledger: l, last: last}
	s.loop = reconcile.NewLoop(reconcile.LoopConfig{
		Name: leaseName, Interval: l.cfg.Interval, Rest: rest, Now: l.cfg.Now, Log: l.cfg.Log,
	}, s.pass)
	return s, nil
}

// Run sequences until ctx is done and gives the lease back.
func (s *Sequencer) Run(ctx context.Context) error {
	err := s.loop.Run(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease.Fence == 0 {
		return err
	}
	// Failing to release costs the next sequencer a wait, nothing else.
	if err := sqldb.ReleaseLease(context.WithoutCancel(ctx), s.ledger.db, s.lease); err != nil {
		s.ledger.cfg.Log.InfoContext(ctx, "the sequencer's lease was not released", "error", err)
	}
	s.lease = sqldb.Lease{}
	return err
}

// RunOnce sequences at most one batch, signs, and returns how many events it
// sequenced. It returns 0 also while another process is the sequencer.
//
// Nothing is numbered or signed unless what the database has continues what was
// signed last; see [Ledger.Refused].
func (s *Sequencer) RunOnce(ctx context.Context) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err = s.once(ctx)
	return n, s.refuse(ctx, err)
}

func (s *Sequencer) once(ctx context.Context) (n int, err error) {
	if todo, err := s.pending(ctx); err != nil || !todo {
		return 0, err
	}
	if ok, err := s.hold(ctx); err != nil || !ok {
		return 0, err
	}
	n, err = s.sequence(ctx)
	if err != nil {
		s.drop(err)
		return 0, err
	}
	failpoint.Hit("ledger.sequenced")
	// Also when nothing was sequenced: a predecessor may have died before it
	// signed.
	next, err := s.sign(ctx)
	if err != nil {
		s.drop(err)
		return n, err
	}
	s.ledger.changed.send()
	s.found = standing{} // it is not the last any more
	return n, s.last.keep(next)
}

// refuse keeps for [Ledger.Refused] and the log why nothing is numbered and
// signed, and returns err. It keeps nothing of errors that pass.
func (s *Sequencer) refuse(ctx context.Context, err error) error {
	var found *towpath.Error
	if err != nil && (!errors.As(err, &found) || found.Kind != towpath.KindConflict && found.Op != opKept) {
		return err
	}
	s.refusing.Lock()
	defer s.refusing.Unlock()
	if found != nil && (s.refused == nil || s.refused.Error() != err.Error()) {
		s.ledger.cfg.Log.ErrorContext(ctx, "the ledger is not signed", "error", err, "hint", found.Hint)
	}
	s.refused = err
	return err
}

func (s *Sequencer) refusal() error {
	s.refusing.Lock()
	defer s.refusing.Unlock()
	return s.refused
}

func (s *Sequencer) pass(ctx context.Context, _ time.Time) (again bool, err error) {
	n, err := s.RunOnce(ctx)
	return n == s.ledger.cfg.Batch, err
}

// pending reports whether there is anything to sequence or to sign; an idle
// ledger is not written to. It fails when what is there does not continue what
// was signed, on every server, not only on the one that sequences.
func (s *Sequencer) pending(ctx context.Context) (todo bool, err error) {
	if err := s.last.save(); err != nil { // a pass before could not
		return false, err
	}
	var st standing
	err = s.ledger.db.View(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		var waiting int
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM event WHERE seq IS NULL LIMIT 1) AS one`).Scan(&waiting)
		if err != nil {
			return err
		}
		if st, err = s.look(ctx, tx); err != nil {
			return err
		}
		todo = waiting > 0 || st.head.size > st.last.cp.Size
		return nil
	})
	if err != nil {
		return false, err
	}
	s.found = st
	return todo, s.last.keep(st.last)
}

// look reads what the database says of the ledger, and compares it with what
// was signed unless it is what was found to continue that.
func (s *Sequencer) look(ctx context.Context, tx *sqldb.Tx) (standing, error) {
	st, err := readStanding(ctx, tx, s.ledger.verifier)
	if err != nil || st == s.found {
		return st, err
	}
	return st, st.since(ctx, tx, s.last.signed)
}

// hold makes sure that this process has the lease for half its time at least.
func (s *Sequencer) hold(ctx context.Context) (bool, error) {
	now := s.ledger.cfg.Now()
	if s.lease.Fence != 0 && now.Add(s.ledger.cfg.Lease/2).Before(s.lease.Until) {
		return true, nil
	}
	lease, ok, err := sqldb.AcquireLease(ctx, s.ledger.db, leaseName, s.ledger.cfg.Owner, now, s.ledger.cfg.Lease)
	s.lease = lease
	return ok, err
}

// drop forgets a lease that was lost.
func (s *Sequencer) drop(err error) {
	if towpath.KindOf(err) == towpath.KindLocked {
		s.lease = sqldb.Lease{}
	}
}

// sequence numbers a batch in one transaction, checked by the fence: numbers,
// tree hashes and head change together or not at all.
func (s *Sequencer) sequence(ctx context.Context) (n int, err error) {
	err = s.ledger.db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if err := sqldb.CheckLease(ctx, tx, s.lease); err != nil {
			return err
		}
		from, err := readHead(ctx, tx)
		if err != nil {
			return err
		}
		leaves, err := number(ctx, tx, from.size, s.ledger.cfg.Batch)
		if n = len(leaves); err != nil || n == 0 {
			return err
		}
		b, err := merkle.NewBuilder(from.size, tree{ctx, tx})
		if err != nil {
			return err
		}
		if b.Root() != from.root {
			return errRewritten("the tree's hashes in the database are not those of the ledger's head", nil)
		}
		var stored []merkle.Hash
		for _, leaf := range leaves {
			stored = b.Append(leaf, stored)
		}
		if err := writeHashes(ctx, tx, merkle.StoredCount(from.size), stored); err != nil {
			return err
		}
		return swapHead(ctx, tx, from, head{size: b.Size(), root: b.Root()}, s.lease.Fence)
	})
	return n, err
}

// number gives the next committed events the numbers after size, in the order
// of their ordinals, and returns their leaf hashes. An event that commits
// later than one with a higher ordinal is numbered later; nothing is missed.
func number(ctx context.Context, tx *sqldb.Tx, size int64, limit int) ([]merkle.Hash, error) {
	rows, err := tx.Query(ctx, `UPDATE event SET seq = $1 + next.rank FROM (
			SELECT ordinal AS o, ROW_NUMBER() OVER (ORDER BY ordinal) AS rank FROM event
			WHERE seq IS NULL ORDER BY ordinal LIMIT $2) AS next
		WHERE ordinal = next.o RETURNING seq, leaf_hash`, size, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	type numbered struct {
		seq  int64
		hash []byte
	}
	var all []numbered
	for rows.Next() {
		var e numbered
		if err := rows.Scan(&e.seq, &e.hash); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.seq, b.seq) })
	leaves := make([]merkle.Hash, len(all))
	for i, e := range all {
		if e.seq != size+int64(i)+1 || len(e.hash) != merkle.HashSize {
			return nil, fmt.Errorf("event %d can't be sequenced after %d", e.seq, size+int64(i))
		}
		leaves[i] = merkle.Hash(e.hash)
	}
	return leaves, nil
}

// sign signs the committed head, if it continues what was signed before, and
// writes the checkpoint.
func (s *Sequencer) sign(ctx context.Context) (next signed, err error) {
	var st standing
	err = s.ledger.db.View(ctx, func(ctx context.Context, tx *sqldb.Tx) (err error) {
		st, err = s.look(ctx, tx)
		return err
	})
	if err != nil || st.head.size == 0 {
		return next, err
	}
	if next, err = s.ledger.signHead(st.head, st.epoch.Number); err != nil {
		return next, err
	}
	err = s.ledger.db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if err := sqldb.CheckLease(ctx, tx, s.lease); err != nil {
			return err
		}
		return writeCheckpoint(ctx, tx, next)
	})
	return next, err
}
