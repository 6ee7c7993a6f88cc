package server

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that has lost its key starts with a new one, and says so: what the
// one before signed is not believed any more.
func TestServer_OfAnotherAttestationKey(t *testing.T) {
	data := t.TempDir()
	path := filepath.Join(data, "attestation.key")
	start := func() (said string, events int) {
		t.Helper()
		var log bytes.Buffer
		s, err := New(t.Context(), Config{Data: data, Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, 0, err)
		must(t, 0, s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM event WHERE action = 'server.attestation-key.replaced'`).Scan(&events))
		must(t, 0, s.Close())
		return log.String(), events
	}
	quiet := func(when string, want int) {
		t.Helper()
		if said, n := start(); strings.Contains(said, "attestation key") || n != want {
			t.Errorf("%s: %d events, and it says %s", when, n, said)
		}
	}
	loud := func(when string, want int) {
		t.Helper()
		if said, n := start(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "is not believed any more") || n != want {
			t.Errorf("%s: %d events, and it says %s", when, n, said)
		}
	}
	quiet("the first start", 0)
	quiet("another start", 0)
	key, err := os.ReadFile(path)
	must(t, 0, err)
	must(t, 0, os.Remove(path))
	loud("it is gone", 1)
	quiet("nothing changed since", 1)
	must(t, 0, os.WriteFile(path, key, 0o600))
	loud("it is back", 2)
}
