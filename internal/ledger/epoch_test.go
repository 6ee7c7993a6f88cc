package ledger_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// backup takes what the database has of the ledger at 60 of 100 entries; back
// restores it.
func backup(t *testing.T, db *sqldb.DB, l *ledger.Ledger) (whole merkle.Checkpoint, back func()) {
	t.Helper()
	fill(t, db, l, 60)
	early, _, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, l, 40)
	return checkpoint(t, l), func() {
		truncate(t, db, 60)
		change(t, db, `DELETE FROM checkpoint`)
		change(t, db, `DELETE FROM ledger_meta WHERE epoch > 1`)
		change(t, db, `INSERT INTO checkpoint (epoch, size, note) VALUES (1, 60, $1)`, early)
	}
}

func restored(reason string) towpath.Event {
	ev := towpath.NewEvent(start, "ana", "ledger.restored")
	ev.Reason = reason
	return ev
}

func TestEpoch(t *testing.T) {
	key := newKey(t)
	refused := func(t *testing.T, l *ledger.Ledger, says string) {
		t.Helper()
		_, err := l.BumpEpoch(t.Context(), restored("again"))
		if towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), says) {
			t.Fatalf("got %v", err)
		}
	}
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		file, theirs := filepath.Join(t.TempDir(), "ledger.checkpoint"), filepath.Join(t.TempDir(), "ledger.checkpoint")
		l := keeping(t, db, key, file, nil)
		whole, back := backup(t, db, l)
		drain(t, keeping(t, db, key, theirs, nil))
		t.Run("is refused while nothing was restored", func(t *testing.T) { refused(t, l, "nothing was restored") })
		back()
		t.Run("of a database that is no copy is refused", func(t *testing.T) {
			change(t, db, `DELETE FROM checkpoint WHERE epoch = 1`)
			refused(t, l, "no copy")
			back()
			rewrite(t, db, 41)
			refused(t, l, "no copy")
			rewrite(t, db, 41) // back
		})
		t.Run("takes the restored ledger for the one to continue", func(t *testing.T) {
			l = keeping(t, db, key, file, nil)
			if _, err := l.Sequencer().RunOnce(t.Context()); towpath.KindOf(err) != towpath.KindConflict {
				t.Fatalf("it is not told: %v", err)
			}
			next, err := l.BumpEpoch(t.Context(), restored("from the backup of Monday"))
			if err != nil || next.Number != 2 || next.Size != 60 {
				t.Fatal(next, err)
			}
			if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "\nepoch 2\n") {
				t.Fatalf("it is not written down: %q, %v", b, err)
			}
			drain(t, l)
			if cp := checkpoint(t, l); cp.Epoch != 2 || cp.Size != 61 {
				t.Fatalf("%+v", cp)
			}
			cp := checkpoint(t, l)
			if r := verify(t, l, &cp); !r.OK || l.Refused() != nil {
				t.Fatal(r.Bad, l.Refused())
			}
			if got, err := l.Epoch(context.Background()); err != nil || got.Reason != "from the backup of Monday" {
				t.Fatal(got, err)
			}
		})
		t.Run("is recorded once, whoever is started with it again", func(t *testing.T) {
			refused(t, l, "recorded before")
			refused(t, keeping(t, db, key, file, nil), "recorded before")
			refused(t, keeping(t, db, key, theirs, nil), "recorded before")
		})
		t.Run("is taken from the database by servers that kept more", func(t *testing.T) {
			two := keeping(t, db, key, theirs, nil)
			fill(t, db, two, 1)
			if two.Refused() != nil || checkpoint(t, two).Size != 62 {
				t.Fatal(two.Refused())
			}
		})
		t.Run("is named to who kept more", func(t *testing.T) {
			r := verify(t, l, &whole)
			if r.OK || r.Bad.Problem != ledger.ProblemTruncated || !strings.Contains(r.Bad.Message, "restored from a backup") {
				t.Fatalf("%+v", r.Bad)
			}
			fill(t, db, l, 50)
			r = verify(t, l, &whole)
			if r.OK || r.Bad.Problem != ledger.ProblemRoot || !strings.Contains(r.Bad.Message, "restored from a backup") {
				t.Fatalf("%+v", r.Bad)
			}
		})
		t.Run("of a restore to before it grows on", func(t *testing.T) {
			back()
			next, err := l.BumpEpoch(t.Context(), restored("from the backup of Monday, again"))
			if err != nil || next.Number != 3 {
				t.Fatal(next, err)
			}
			drain(t, l)
		})
		t.Run("begins anew with a database that is empty", func(t *testing.T) {
			for _, table := range []string{"event", "tree_chunk", "ledger_head", "checkpoint"} {
				change(t, db, `DELETE FROM `+table)
			}
			change(t, db, `DELETE FROM ledger_meta WHERE epoch > 1`)
			next, err := l.BumpEpoch(t.Context(), restored("it is lost"))
			if err != nil || next.Number != 4 || next.Size != 0 {
				t.Fatal(next, err)
			}
			drain(t, l)
			cp := checkpoint(t, l)
			if r := verify(t, l, &cp); !r.OK || r.Entries != 1 || cp.Epoch != 4 {
				t.Fatal(r.Bad, cp)
			}
		})
		t.Run("raises the fences", func(t *testing.T) {
			lease, ok, err := sqldb.AcquireLease(t.Context(), db, "ledger.sequencer", "x", start.Add(time.Hour), time.Second)
			if err != nil || !ok || lease.Fence < 3<<32 {
				t.Fatal(lease, err)
			}
		})
	})
}
