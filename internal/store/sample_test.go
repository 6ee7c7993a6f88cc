package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestSampleBatches(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		s := store.NewSampleBatches(db)
		now := func() time.Time {
			t.Helper()
			at, err := s.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		began := now()
		if off := time.Since(began).Abs(); off > time.Minute {
			t.Fatalf("the database's clock is off by %s", off)
		}
		for i := range 5 {
			if err := s.Put(t.Context(), fmt.Sprint("b", i), []byte{byte(i), 0, 255}); err != nil {
				t.Fatal(err)
			}
		}
		all := after(t, s, began.Add(-time.Millisecond), 10)
		equal(t, names(all), "b0 b1 b2 b3 b4")
		for i, b := range all {
			if b.Body != nil || b.Size != 3 || b.At.After(now()) || i > 0 && b.At.Before(all[i-1].At) {
				t.Errorf("%+v", b)
			}
		}
		t.Run("that are put again stay what and when they were", func(t *testing.T) {
			if err := s.Put(t.Context(), "b0", []byte("another")); err != nil {
				t.Fatal(err)
			}
			equal(t, after(t, s, began.Add(-time.Millisecond), 1), all[:1])
		})
		t.Run("are told of from a moment on", func(t *testing.T) {
			for _, b := range after(t, s, all[2].At, 10) {
				if !b.At.After(all[2].At) {
					t.Errorf("%+v", b)
				}
			}
			equal(t, names(after(t, s, began.Add(-time.Millisecond), 2)), "b0 b1")
		})
		t.Run("are read, as far as they are there", func(t *testing.T) {
			got, err := s.Bodies(t.Context(), []string{"b3", "gone", "b1"})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, names(got), "b1 b3")
			equal(t, got[1].Body, []byte{3, 0, 255})
		})
		t.Run("are given up beyond their bytes, the oldest first", func(t *testing.T) {
			if err := s.Forget(t.Context(), began.Add(-time.Minute), 9); err != nil {
				t.Fatal(err)
			}
			equal(t, names(after(t, s, began.Add(-time.Millisecond), 10)), "b2 b3 b4")
		})
		t.Run("are given up when they are old", func(t *testing.T) {
			if err := s.Forget(t.Context(), all[4].At, 1<<20); err != nil {
				t.Fatal(err)
			}
			left := after(t, s, began.Add(-time.Millisecond), 10)
			if len(left) == 0 || left[len(left)-1].ID != "b4" || left[0].At.Before(all[4].At) {
				t.Errorf("%+v", left)
			}
		})
	})
}

func after(t *testing.T, s store.SampleBatches, at time.Time, limit int) []towpath.SampleBatch {
	t.Helper()
	out, err := s.After(t.Context(), at, limit)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func names(all []towpath.SampleBatch) string {
	out := ""
	for _, b := range all {
		if out != "" {
			out += " "
		}
		out += b.ID
	}
	return out
}
