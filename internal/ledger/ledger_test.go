package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 123456000, time.UTC)

func newLedger(t testing.TB, db *sqldb.DB) *ledger.Ledger {
	t.Helper()
	return withKey(t, db, newKey(t), "one", func() time.Time { return start })
}

func newKey(t testing.TB) *merkle.Key {
	t.Helper()
	key, err := ledger.LoadOrCreateKey(filepath.Join(t.TempDir(), "key"), "towpath.test")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func withKey(t testing.TB, db *sqldb.DB, key *merkle.Key, owner string, now func() time.Time) *ledger.Ledger {
	t.Helper()
	l, err := ledger.New(ledger.Config{Key: key, Owner: owner, Now: now}, db)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func event(i int) towpath.Event {
	ev := towpath.NewEvent(start.Add(time.Duration(i)*time.Millisecond), "ana", "promotion.requested")
	ev.Project, ev.Environment = "shop", towpath.EnvironmentName([]string{"dev", "staging", "prod"}[i%3])
	ev.Subject = fmt.Sprintf("prm_%d", i)
	ev.Release = towpath.DigestOf([]byte{byte(i)})
	ev.Data = json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"a <b> & \"c\""}`, i))
	return ev
}

func appendEvents(t testing.TB, db *sqldb.DB, l *ledger.Ledger, events ...towpath.Event) {
	t.Helper()
	err := db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		for _, ev := range events {
			if err := l.Append(ctx, tx, ev); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fill appends and sequences n events.
func fill(t testing.TB, db *sqldb.DB, l *ledger.Ledger, n int) {
	t.Helper()
	events := make([]towpath.Event, n)
	for i := range events {
		events[i] = event(i)
	}
	appendEvents(t, db, l, events...)
	drain(t, l)
}

func drain(t testing.TB, l *ledger.Ledger) (total int) {
	t.Helper()
	for {
		n, err := l.Sequencer().RunOnce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			return total
		}
	}
}

func verify(t testing.TB, l *ledger.Ledger, trusted *merkle.Checkpoint) ledger.Report {
	t.Helper()
	r, err := l.Verify(t.Context(), ledger.VerifyOptions{Trusted: trusted})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkpoint(t testing.TB, l *ledger.Ledger) merkle.Checkpoint {
	t.Helper()
	_, cp, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func TestLedger_Append(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := newLedger(t, db)
		t.Run("stands if and only if the change does", func(t *testing.T) {
			_ = db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				if err := l.Append(ctx, tx, event(1)); err != nil {
					t.Error(err)
				}
				return context.Canceled
			})
			if n := drain(t, l); n != 0 {
				t.Fatalf("%d events stand", n)
			}
		})
		t.Run("keeps the event as it was", func(t *testing.T) {
			ev := event(7)
			ev.Actor, ev.Reason, ev.RequestID = "ana <a@b> \u2028 \"é\"", "because\n…", "req\t\\1"
			appendEvents(t, db, l, ev)
			drain(t, l)
			got, err := l.Since(t.Context(), 0, 10)
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			a, _ := json.Marshal(ev)
			b, _ := json.Marshal(got[0].Event)
			if got[0].Seq != 1 || string(a) != string(b) {
				t.Fatalf("got  %s\nwant %s", b, a)
			}
			if r := verify(t, l, nil); !r.OK || r.Entries != 1 || r.Signed != 1 {
				t.Fatalf("%+v", r)
			}
		})
		t.Run("refuses what it can't keep", func(t *testing.T) {
			twice := event(8)
			appendEvents(t, db, l, twice)
			for name, tt := range map[string]struct {
				change func(*towpath.Event)
				want   towpath.Kind
			}{
				"no ID":     {func(e *towpath.Event) { e.ID = "" }, towpath.KindInternal},
				"no actor":  {func(e *towpath.Event) { e.Actor = "" }, towpath.KindInternal},
				"no time":   {func(e *towpath.Event) { e.At = time.Time{} }, towpath.KindInternal},
				"bad JSON":  {func(e *towpath.Event) { e.Data = json.RawMessage("{") }, towpath.KindInternal},
				"NUL":       {func(e *towpath.Event) { e.Subject = "a\x00" }, towpath.KindInvalid},
				"not UTF-8": {func(e *towpath.Event) { e.Subject = "\xff" }, towpath.KindInvalid},
				"too large": {func(e *towpath.Event) { e.Reason = string(make([]byte, ledger.MaxLeaf)) }, towpath.KindExhausted},
				"twice":     {func(e *towpath.Event) { e.ID = twice.ID }, towpath.KindConflict},
			} {
				ev := event(9)
				tt.change(&ev)
				err := db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error { return l.Append(ctx, tx, ev) })
				if towpath.KindOf(err) != tt.want {
					t.Errorf("%s: got %v", name, err)
				}
			}
		})
	})
}

func TestLedger_List(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := newLedger(t, db)
		fill(t, db, l, 30)
		seqs := func(f ledger.Filter) (out []int64) {
			t.Helper()
			entries, err := l.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				out = append(out, e.Seq)
			}
			return out
		}
		for name, tt := range map[string]struct {
			f    ledger.Filter
			want []int64
		}{
			"in order":               {ledger.Filter{Limit: 3}, []int64{1, 2, 3}},
			"from a cursor":          {ledger.Filter{AfterSeq: 28}, []int64{29, 30}},
			"newest first":           {ledger.Filter{Descending: true, Limit: 2}, []int64{30, 29}},
			"newest first, 2nd page": {ledger.Filter{Descending: true, Limit: 2, BeforeSeq: 29}, []int64{28, 27}},
			"of an environment":      {ledger.Filter{Project: "shop", Environment: "prod", Limit: 2}, []int64{3, 6}},
			"of a subject":           {ledger.Filter{Subject: "prm_4"}, []int64{5}},
			"of an action":           {ledger.Filter{Action: "promotion.requested", AfterSeq: 29}, []int64{30}},
			"of nothing":             {ledger.Filter{Project: "other"}, nil},
		} {
			if got := seqs(tt.f); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%s: got %v, want %v", name, got, tt.want)
			}
		}
		if _, err := l.Entry(t.Context(), 31); towpath.KindOf(err) != towpath.KindNotFound {
			t.Errorf("got %v", err)
		}
	})
}

func TestLedger_Proofs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := newLedger(t, db)
		fill(t, db, l, 70)
		older := checkpoint(t, l)
		fill(t, db, l, 31)
		newer := checkpoint(t, l)
		for _, seq := range []int64{1, 2, 64, 65, 70, 71, 101} {
			e, err := l.Entry(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			p, err := l.ProveInclusion(t.Context(), seq, newer.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := merkle.CheckInclusion(p, newer.Size, newer.Root, seq-1, e.Hash); err != nil {
				t.Errorf("entry %d: %v", seq, err)
			}
			if err := merkle.CheckInclusion(p, newer.Size, newer.Root, seq%101, e.Hash); err == nil {
				t.Errorf("the proof of %d proves another place", seq)
			}
		}
		p, err := l.ProveConsistency(t.Context(), older.Size, newer.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := merkle.CheckConsistency(p, older, newer); err != nil {
			t.Error(err)
		}
		older.Root[0]++
		if err := merkle.CheckConsistency(p, older, newer); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("got %v", err)
		}
		if _, err := l.ProveInclusion(t.Context(), 1, 102); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("got %v", err)
		}
	})
}

func TestLedger_Concurrent(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := newLedger(t, db)
		ctx, stop := context.WithCancel(t.Context())
		var sequencing sync.WaitGroup
		sequencing.Go(func() {
			if err := l.Sequencer().Run(ctx); err != nil {
				t.Error(err)
			}
		})
		const writers, each = 8, 25
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := range each {
					appendEvents(t, db, l, event(w*each+i))
				}
			})
		}
		writing.Wait()
		for {
			changed := l.Changed()
			if w, err := l.Unsequenced(t.Context(), start.Add(time.Hour)); err != nil {
				t.Fatal(err)
			} else if w.Events == 0 {
				break
			}
			<-changed
		}
		stop()
		sequencing.Wait()
		if r := verify(t, l, nil); !r.OK || r.Entries != writers*each {
			t.Fatalf("%+v", r)
		}
	})
}
