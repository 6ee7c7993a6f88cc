package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// TestServer_JoinsItsInstallation: servers of one database share a data folder.
func TestServer_JoinsItsInstallation(t *testing.T) {
	database, data := pgtest.New(t), t.TempDir()
	start := func(data string) error {
		t.Helper()
		s, err := New(t.Context(), Config{Data: data, Database: database, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return s.Close()
	}
	must(t, 0, start(data))
	must(t, 0, start(data))
	refused := func(data, why string) {
		t.Helper()
		err := start(data)
		if towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want it to say %q", err, why)
		}
	}
	other := t.TempDir()
	refused(other, "signed with another key")
	key, err := os.ReadFile(filepath.Join(data, "ledger.key"))
	must(t, 0, err)
	must(t, 0, os.WriteFile(filepath.Join(other, "ledger.key"), key, 0o600))
	refused(other, "in another place")
}

// TestServer_IsAloneOnSQLite: a second server on the same file is refused.
func TestServer_IsAloneOnSQLite(t *testing.T) {
	cfg := Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)}
	first, err := New(t.Context(), cfg)
	must(t, 0, err)
	if _, err := New(t.Context(), cfg); towpath.KindOf(err) != towpath.KindLocked {
		t.Errorf("a second server: %v", err)
	}
	must(t, 0, first.Close())
	again, err := New(t.Context(), cfg)
	must(t, 0, err)
	must(t, 0, again.Close())
}
