package sqldb_test

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestWriteCheck(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		c := sqldb.NewWriteCheck(db)
		rows := func() (n, writes int64) {
			t.Helper()
			if err := db.QueryRow(t.Context(), `SELECT COUNT(*), COALESCE(MAX(fence), 0) FROM lease WHERE name = 'check/writes'`).Scan(&n, &writes); err != nil {
				t.Fatal(err)
			}
			return n, writes
		}
		now := epoch
		for range 3 {
			if err := c.Run(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Second)
		}
		if n, writes := rows(); n != 1 || writes != 3 {
			t.Errorf("three checks wrote %d times, into %d rows", writes, n)
		}
		for range 10 {
			if err := c.Run(t.Context(), now.Add(-time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		if _, writes := rows(); writes != 3 {
			t.Errorf("within a second it wrote %d times more", writes-3)
		}
	})
}

// TestWriteCheck_Fails: a database that is read and takes no writes has to be
// written to be found out.
func TestWriteCheck_Fails(t *testing.T) {
	db := dbtest.SQLite(t)
	c := sqldb.NewWriteCheck(db)
	for _, on := range []string{"INSERT", "UPDATE"} {
		if _, err := db.Exec(t.Context(), `CREATE TRIGGER full_`+on+` BEFORE `+on+` ON lease BEGIN SELECT RAISE(FAIL, 'the disk is full'); END`); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // also when it is asked again at once
		if err := c.Run(t.Context(), epoch); err == nil {
			t.Error("it says that all is well")
		}
	}
	for _, on := range []string{"INSERT", "UPDATE"} {
		if _, err := db.Exec(t.Context(), `DROP TRIGGER full_`+on); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Run(t.Context(), epoch.Add(time.Second)); err != nil {
		t.Errorf("it goes on failing: %v", err)
	}
}
