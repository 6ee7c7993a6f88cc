package faultdb_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpathtest/faultdb"
)

// TestDisk cuts the power at every moment of a small history: what was
// committed before is there, and the database is whole.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	disk, err := faultdb.Watch(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	db, err := sqldb.Open(ctx, filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, query, args...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE n (i BIGINT PRIMARY KEY, filler TEXT)`)
	created := disk.Now()
	var committed []int // moments
	for i := range 40 {
		exec(`INSERT INTO n VALUES ($1, $2)`, i, string(make([]byte, 3000)))
		committed = append(committed, disk.Now())
	}
	if disk.Syncs(disk.Now()) < 40 {
		t.Fatalf("%d syncs for 40 commits", disk.Syncs(disk.Now()))
	}
	for n := created; n <= disk.Now(); n++ {
		for _, rng := range []*rand.Rand{nil, rand.New(rand.NewPCG(uint64(n), 1))} {
			want := 0
			for want < len(committed) && committed[want] <= n {
				want++
			}
			got := rows(t, disk, n, rng)
			if got < want || got > want+1 {
				t.Errorf("after %d actions %d rows are left of %d that were committed", n, got, want)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, disk, disk.Now(), nil); got != 40 {
		t.Errorf("%d rows are left after the end", got)
	}
}

// rows counts them after a cut, on a database that must be whole.
func rows(t *testing.T, disk *faultdb.Disk, n int, rng *rand.Rand) (count int) {
	t.Helper()
	dir := t.TempDir()
	if err := disk.Cut(dir, n, rng); err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatalf("after %d actions it does not open: %v", n, err)
	}
	defer db.Close()
	var whole string
	if err := db.QueryRow(t.Context(), `PRAGMA integrity_check`).Scan(&whole); err != nil || whole != "ok" {
		t.Fatalf("after %d actions it is not whole: %s %v", n, whole, err)
	}
	if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM n`).Scan(&count); err != nil {
		t.Fatalf("after %d actions: %v", n, err)
	}
	return count
}
