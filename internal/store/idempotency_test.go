package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// serverProcess is what one server has of the store of answers.
type serverProcess struct {
	*store.Idempotency
	t        *testing.T
	store    *store.Store
	presence *sqldb.Presence
}

func (p serverProcess) begin(key string) (context.Context, *store.Answer) {
	p.t.Helper()
	ctx, a, err := p.Begin(context.Background(), "ana", key, "sha256:x")
	if err != nil {
		p.t.Fatal(err)
	}
	return ctx, a
}

// change makes a change that is recorded, as a use case does.
func (p serverProcess) change(ctx context.Context, at time.Time) error {
	ev := towpath.NewEvent(at, "ana", "rollback.requested")
	ev.Subject, ev.RequestID = "dep_1", "req_1"
	return p.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Record(ctx, ev) })
}

func TestStore_Idempotency(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		now := noon
		clock := func() time.Time { return now }
		process := func(owner string) serverProcess {
			s := store.New(db, events{}, nil)
			p := serverProcess{store.NewIdempotency(s, owner, clock), t, s, sqldb.NewPresence(db, owner, 6*time.Second)}
			if err := p.presence.Show(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			return p
		}
		one, two := process("one"), process("two")

		t.Run("a request that is being served is in flight everywhere", func(t *testing.T) {
			_, a := one.begin("served")
			equal(t, a, nil)
			for _, p := range []serverProcess{one, two} {
				_, a := p.begin("served")
				equal(t, a, &store.Answer{Hash: "sha256:x", Body: nil})
			}
		})
		t.Run("an answer is kept for a day", func(t *testing.T) {
			one.begin("kept")
			if err := one.Finish(t.Context(), "ana", "kept", 201, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			_, a := two.begin("kept")
			equal(t, a, &store.Answer{Hash: "sha256:x", Status: 201, Body: []byte("{}")})
		})
		t.Run("an error that says nothing frees the key when nothing was changed", func(t *testing.T) {
			one.begin("error")
			if err := one.Lose(t.Context(), "ana", "error"); err != nil {
				t.Fatal(err)
			}
			_, a := two.begin("error")
			equal(t, a, nil)
		})
		t.Run("and keeps what was changed all the same", func(t *testing.T) {
			ctx, _ := one.begin("changed")
			if err := errors.Join(one.change(ctx, now), one.Lose(ctx, "ana", "changed")); err != nil {
				t.Fatal(err)
			}
			_, a := one.begin("changed")
			equal(t, a, &store.Answer{Hash: "sha256:x", Status: a.Status, Body: []byte{}, Lost: true, Subject: "dep_1"})
		})
		late, _ := one.begin("late")
		made, _ := one.begin("made")
		if err := one.change(made, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(7 * time.Second) // one is believed dead
		if err := two.presence.Show(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		t.Run("what a dead server made is not made again", func(t *testing.T) {
			_, a := two.begin("made")
			equal(t, a, &store.Answer{Hash: "sha256:x", Lost: true, Subject: "dep_1"})
		})
		t.Run("what it had not made is free, and the dead one can't make it any more", func(t *testing.T) {
			ctx, a := two.begin("late")
			equal(t, a, nil)
			if err := one.change(late, now); towpath.KindOf(err) != towpath.KindLocked {
				t.Errorf("the one that was taken for dead wrote: %v", err)
			}
			if err := two.change(ctx, now); err != nil {
				t.Errorf("the one that took over can't write: %v", err)
			}
		})
		t.Run("keys are free after a day", func(t *testing.T) {
			now = now.Add(25 * time.Hour)
			_, a := two.begin("kept")
			equal(t, a, nil)
		})
	})
}
