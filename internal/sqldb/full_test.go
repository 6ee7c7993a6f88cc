package sqldb

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// The engine's own page limit stands for a full disk: it ends in the same
// error code.
func TestDB_DiskFull(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "full.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, q := range []string{`CREATE TABLE t (s TEXT)`, `INSERT INTO t VALUES ('kept')`, `PRAGMA max_page_count = 8`} {
		if _, err := db.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	_, err = db.Exec(t.Context(), `INSERT INTO t VALUES ($1)`, strings.Repeat("x", 1<<20))
	e, ok := errors.AsType[*towpath.Error](err)
	if !ok || e.Kind != towpath.KindUnavailable || !strings.Contains(e.Message, "full") || e.Hint == "" {
		t.Fatalf("got %v", err)
	}
	var s string
	if err := db.QueryRow(t.Context(), `SELECT s FROM t`).Scan(&s); err != nil || s != "kept" {
		t.Fatalf("reads must keep working: %q, %v", s, err)
	}
}
