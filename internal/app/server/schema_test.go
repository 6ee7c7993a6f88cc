package server

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"testing"
	"testing/fstest"
	"time"

	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store/migrations"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

func TestServer_Run_Overtaken(t *testing.T) {
	database := pgtest.New(t)
	s, err := New(t.Context(), Config{Data: t.TempDir(), Database: database, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
	must(t, 0, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	healthy := func() bool {
		a, err := http.Get(s.URL() + "/healthz")
		if err != nil {
			return false
		}
		defer func() { _ = a.Body.Close() }()
		return a.StatusCode == http.StatusOK
	}
	if !healthy() {
		t.Fatal("it does not serve")
	}
	_, err = dbtest.Open(t, database).Exec(t.Context(), `INSERT INTO schema_version (version_id, is_applied) VALUES (99999, TRUE)`)
	must(t, 0, err)
	if err := <-ended; towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("it ended with %v", err)
	}
	if healthy() {
		t.Error("it serves on")
	}
}

func TestServer_New_BesideOlder(t *testing.T) {
	files, err := fs.Glob(migrations.FS, "postgres/*.sql")
	must(t, 0, err)
	old := fstest.MapFS{}
	for _, f := range files[:len(files)-1] {
		b, err := fs.ReadFile(migrations.FS, f)
		old[f] = &fstest.MapFile{Data: must(t, b, err)}
	}
	// upgrade starts a server on a database that an older one is known to have
	// lived on until a while from now.
	upgrade := func(t *testing.T, lives time.Duration) (*sqldb.DB, error) {
		database := pgtest.New(t)
		db := dbtest.Open(t, database)
		must(t, 0, sqldb.Migrate(t.Context(), db, old))
		must(t, 0, sqldb.NewPresence(db, "old", lives).Show(t.Context(), time.Now()))
		s, err := New(t.Context(), Config{Data: t.TempDir(), Database: database, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			t.Cleanup(func() { _ = s.Close() })
		}
		return db, err
	}
	t.Run("waits for one that was stopped", func(t *testing.T) {
		db, err := upgrade(t, 3*time.Second)
		must(t, 0, err)
		lives, err := sqldb.Present(t.Context(), db, "old", time.Now())
		if must(t, lives, err) {
			t.Error("it upgraded the database while the older one may have lived")
		}
	})
	t.Run("refuses to upgrade the database of one that lives", func(t *testing.T) {
		db, err := upgrade(t, time.Hour)
		if towpath.KindOf(err) != towpath.KindConflict {
			t.Fatalf("it got %v", err)
		}
		var version int
		must(t, 0, db.QueryRow(t.Context(), `SELECT MAX(version_id) FROM schema_version`).Scan(&version))
		if want := len(old); version != want {
			t.Errorf("the schema has version %d, it had %d", version, want)
		}
	})
}
