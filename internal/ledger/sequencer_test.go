package ledger

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// rig is two servers on one database, whose clock the test sets.
type rig struct {
	db       *sqldb.DB
	now      time.Time
	one, two *Ledger
}

func newRig(t *testing.T, db *sqldb.DB) *rig {
	t.Helper()
	r := &rig{db: db, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	key, err := merkle.GenerateKey("towpath.test")
	if err != nil {
		t.Fatal(err)
	}
	server := func(owner string) *Ledger {
		l, err := New(Config{Key: key, Owner: owner, Now: func() time.Time { return r.now }, Batch: 3}, db)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	r.one, r.two = server("one"), server("two")
	return r
}

func (r *rig) append(t *testing.T, n int) {
	t.Helper()
	err := r.db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for range n {
			if err := r.one.Append(ctx, tx, towpath.NewEvent(r.now, "ana", "promotion.requested")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) once(t *testing.T, l *Ledger, want int) {
	t.Helper()
	if n, err := l.sequencer.RunOnce(t.Context()); err != nil || n != want {
		t.Fatalf("sequenced %d, %v; want %d", n, err, want)
	}
}

func (r *rig) whole(t *testing.T, entries, signed int64) {
	t.Helper()
	rep, err := r.two.Verify(t.Context(), VerifyOptions{})
	if err != nil || !rep.OK || rep.Entries != entries || rep.Signed != signed {
		t.Fatalf("%+v %v %v", rep, rep.Bad, err)
	}
}

func TestSequencer_Faults(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		r := newRig(t, db)
		s := r.one.sequencer

		t.Run("works in batches", func(t *testing.T) {
			r.append(t, 7)
			r.once(t, r.one, 3)
			r.once(t, r.one, 3)
			r.once(t, r.one, 1)
			r.once(t, r.one, 0)
			r.whole(t, 7, 7)
		})
		t.Run("leaves the work to the holder of the lease", func(t *testing.T) {
			r.append(t, 1)
			r.once(t, r.two, 0)
			r.once(t, r.one, 1)
		})
		t.Run("signs what a predecessor had sequenced when it died before signing", func(t *testing.T) {
			r.append(t, 2)
			if n, err := s.sequence(t.Context()); err != nil || n != 2 {
				t.Fatal(n, err)
			}
			r.whole(t, 10, 8) // numbered, not signed: whole, and it says how far it is signed
			r.now = s.lease.Until
			r.once(t, r.two, 0)
			r.whole(t, 10, 10)
		})
		t.Run("refuses a sequencer whose lease another one took", func(t *testing.T) {
			r.append(t, 2)
			// one still believes in its lease: its clock stood still.
			if _, err := s.sequence(t.Context()); towpath.KindOf(err) != towpath.KindLocked {
				t.Fatalf("a stale sequencer was not refused: %v", err)
			}
			if _, err := s.sign(t.Context()); towpath.KindOf(err) != towpath.KindLocked {
				t.Fatalf("a stale signer was not refused: %v", err)
			}
			r.once(t, r.two, 2)
			r.whole(t, 12, 12)
		})
		t.Run("refuses a fence below that of the head", func(t *testing.T) {
			r.append(t, 1)
			if _, err := db.Exec(t.Context(), `UPDATE ledger_head SET fence = fence + 1000`); err != nil {
				t.Fatal(err)
			}
			if _, err := r.two.sequencer.RunOnce(t.Context()); towpath.KindOf(err) != towpath.KindLocked {
				t.Fatalf("got %v", err)
			}
			if _, err := db.Exec(t.Context(), `UPDATE ledger_head SET fence = fence - 1000`); err != nil {
				t.Fatal(err)
			}
			r.once(t, r.two, 1)
			r.whole(t, 13, 13)
		})
		t.Run("takes over at once after an orderly stop", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := r.two.sequencer.Run(ctx); err != nil {
				t.Fatal(err)
			}
			r.append(t, 1)
			r.once(t, r.one, 1)
			r.whole(t, 14, 14)
		})
		t.Run("measures what waits", func(t *testing.T) {
			r.append(t, 2)
			w, err := r.one.Unsequenced(t.Context(), r.now.Add(time.Minute))
			if err != nil || w.Events != 2 || w.Age != time.Minute {
				t.Fatal(w, err)
			}
		})
	})
}

// TestSequencer_LateCommit: ordinals commit out of order on PostgreSQL.
func TestSequencer_LateCommit(t *testing.T) {
	r := newRig(t, dbtest.Postgres(t))
	late := towpath.NewEvent(r.now, "late", "promotion.requested")
	err := r.db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		if err := r.one.Append(ctx, tx, late); err != nil {
			return err
		}
		r.append(t, 2) // by another client: a higher ordinal, an earlier commit
		r.once(t, r.one, 2)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.once(t, r.one, 1)
	entry, err := r.one.Entry(t.Context(), 3)
	if err != nil || entry.Event.ID != late.ID {
		t.Fatal(entry, err)
	}
	r.whole(t, 3, 3)
}
