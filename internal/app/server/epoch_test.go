package server

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rest "github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// TestServer_Restored: a server whose database went back to a backup signs
// nothing and says so, until it is told once that the database was restored.
func TestServer_Restored(t *testing.T) {
	cfg, repo := Config{Data: folder(t)}, gittest.New(t)
	h := openHarness(t, cfg, repo)
	sequence := func() error {
		t.Helper()
		for {
			if n, err := h.s.ledger.Sequencer().RunOnce(t.Context()); n == 0 || err != nil {
				return err
			}
		}
	}
	checked := func() rest.CheckResult {
		t.Helper()
		w := httptest.NewRecorder()
		h.s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
		var ready rest.Readiness
		must(t, 0, json.NewDecoder(w.Body).Decode(&ready))
		for _, c := range ready.Checks {
			if c.Name == "ledger" {
				return c
			}
		}
		t.Fatalf("nothing is said of the ledger: %+v", ready)
		return rest.CheckResult{}
	}
	h.introduce()
	must(t, 0, sequence())
	must(t, 0, h.s.Close())
	db := filepath.Join(cfg.Data, "towpath.db")
	saved, err := os.ReadFile(db)
	must(t, 0, err)
	h = openHarness(t, cfg, repo)
	_, err = h.svc.Accounts.Create(t.Context(), h.ana, "eve", []string{"eve@example.com"})
	must(t, 0, err)
	must(t, 0, sequence())
	_, ahead, err := h.s.ledger.Checkpoint(t.Context())
	must(t, 0, err)
	if c := checked(); !c.OK {
		t.Fatalf("got %+v", c)
	}
	must(t, 0, h.s.Close())
	for _, suffix := range []string{"-wal", "-shm"} {
		must(t, 0, os.RemoveAll(db+suffix))
	}
	must(t, 0, os.WriteFile(db, saved, 0o600))

	h = openHarness(t, cfg, repo)
	if err := sequence(); towpath.KindOf(err) != towpath.KindConflict {
		t.Fatalf("it goes on: %v", err)
	}
	if c := checked(); c.OK || !strings.Contains(c.Message, "does not continue") || !strings.Contains(c.Hint, "--restored") {
		t.Errorf("got %+v", c)
	}
	must(t, 0, h.s.Close())
	cfg.Restored = "backup of Monday"
	h = openHarness(t, cfg, repo)
	must(t, 0, sequence())
	if c := checked(); !c.OK {
		t.Errorf("got %+v", c)
	}
	if _, cp, err := h.s.ledger.Checkpoint(t.Context()); err != nil || cp.Epoch != 2 {
		t.Errorf("it is signed as %+v, %v", cp, err)
	}
	entries, err := h.s.ledger.List(t.Context(), ledger.Filter{Action: "ledger.restored"})
	must(t, 0, err)
	if len(entries) != 1 || entries[0].Event.Reason != "backup of Monday" || entries[0].Event.Actor != "owner" {
		t.Errorf("recorded are %+v", entries)
	}
	report, err := h.s.ledger.Verify(t.Context(), ledger.VerifyOptions{Trusted: &ahead})
	must(t, 0, err)
	if report.OK || !strings.Contains(report.Bad.Message, "restored from a backup") {
		t.Errorf("got %+v", report.Bad)
	}
	must(t, 0, h.s.Close())
	cfg.Listen, cfg.Log = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	if s, err := New(t.Context(), cfg); towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("it is recorded at each start: %v, %v", s, err)
	}
	cfg.Restored = ""
	h = openHarness(t, cfg, repo)
	must(t, 0, sequence())
	must(t, 0, h.s.Close())
}
