package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/audit"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// realLedger is a server with a real ledger of n entries, and the means to add
// entries and to tamper.
func realLedger(t *testing.T, key *merkle.Key, n int) (s *apitest.Server, db *sqldb.DB, grow func(n int)) {
	t.Helper()
	db = dbtest.SQLite(t)
	l, err := ledger.New(ledger.Config{Key: key, Owner: "test", Now: noon}, db)
	if err != nil {
		t.Fatal(err)
	}
	grow = func(n int) {
		t.Helper()
		err := db.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			for range n {
				ev := towpath.NewEvent(noon(), "ana", "promotion.requested")
				ev.Project = "shop"
				if err := l.Append(ctx, tx, ev); err != nil {
					return err
				}
			}
			return nil
		})
		for more := 1; err == nil && more > 0; {
			more, err = l.Sequencer().RunOnce(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	grow(n)
	w := apitest.NewWorld()
	w.Actors[apitest.Token] = towpath.Actor{Account: "ana", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleAdmin}, {Role: towpath.RoleViewer}}}
	return apitest.New(t, w, func(_ *rest.Config, d *rest.Deps) { d.Services.Audit = audit.New(l) }), db, grow
}

func newKey(t *testing.T) *merkle.Key {
	t.Helper()
	key, err := merkle.GenerateKey("towpath.test")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pointTo makes a shell talk to another server.
func (sh *shell) pointTo(s *apitest.Server) { sh.env["TOWPATH_URL"] = s.URL }

func TestAuditVerify(t *testing.T) {
	key := newKey(t)
	t.Run("verifies, keeps the checkpoint, and demands that the ledger continues it", func(t *testing.T) {
		s, _, grow := realLedger(t, key, 5)
		sh := newShell(t, s)
		if got := sh.run("audit", "verify"); got.code != cli.ExitOK || !strings.Contains(got.stdout, "5 entries verified") {
			t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
		grow(3)
		got := sh.run("audit", "verify")
		if got.code != cli.ExitOK || !strings.Contains(got.stdout, "8 entries verified") || !strings.Contains(got.stdout, "the one kept here, size 5") {
			t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("verifies here what it fetched", func(t *testing.T) {
		s, _, _ := realLedger(t, key, 5)
		sh := newShell(t, s)
		for range 2 {
			if got := sh.run("audit", "verify", "--local"); got.code != cli.ExitOK || !strings.Contains(got.stdout, "5 entries verified") {
				t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
		}
	})
	t.Run("names an entry that was edited, on the server and here", func(t *testing.T) {
		s, db, _ := realLedger(t, key, 5)
		if _, err := db.Exec(t.Context(), `UPDATE event SET leaf = replace(CAST(leaf AS TEXT), 'ana', 'eve') WHERE seq = 3`); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"audit", "verify"}, {"audit", "verify", "--local"}} {
			got := newShell(t, s).run(args...)
			if got.code != cli.ExitError || !strings.Contains(got.stdout, "NOT INTACT") || !strings.Contains(got.stdout, "entry 3") {
				t.Errorf("%q: exit %d: %s%s", args, got.code, got.stdout, got.stderr)
			}
		}
	})
	t.Run("tells a ledger that was cut off and signed again", func(t *testing.T) {
		whole, _, _ := realLedger(t, key, 5)
		sh := newShell(t, whole)
		sh.run("audit", "verify")
		short, _, _ := realLedger(t, key, 4)
		sh.pointTo(short)
		// Checkpoints are kept by server: this is the same one after a tampering.
		copyKept(t, sh, whole, short)
		got := sh.run("audit", "verify")
		if got.code != cli.ExitError || !strings.Contains(got.stderr, "it had 5 entries and now has 4") {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("tells a ledger with another key", func(t *testing.T) {
		one, _, _ := realLedger(t, key, 5)
		sh := newShell(t, one)
		sh.run("audit", "verify")
		other, _, _ := realLedger(t, newKey(t), 6)
		sh.pointTo(other)
		copyKept(t, sh, one, other)
		if got := sh.run("audit", "verify"); got.code != cli.ExitError || !strings.Contains(got.stderr, "another key") {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("keeps the checkpoint beside the project's client file", func(t *testing.T) {
		s, _, _ := realLedger(t, key, 2)
		sh := newShell(t, s)
		if err := (cli.ClientFile{URL: s.URL, Token: apitest.Token, Project: "shop"}).Save(sh.dir); err != nil {
			t.Fatal(err)
		}
		sh.run("audit", "verify")
		if b, err := os.ReadFile(filepath.Join(sh.dir, ".towpath", "checkpoint")); err != nil || !bytes.Contains(b, []byte("towpath.test")) {
			t.Errorf("%s, %v", b, err)
		}
	})
	t.Run("finds an empty ledger in order", func(t *testing.T) {
		s, _, _ := realLedger(t, key, 0)
		if got := newShell(t, s).run("audit", "verify"); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
}

// copyKept makes what was kept of one server that of another.
func copyKept(t *testing.T, sh *shell, from, to *apitest.Server) {
	t.Helper()
	path := func(s *apitest.Server) string {
		return filepath.Join(sh.env["HOME"], ".local", "state", "towpath", "checkpoint-"+towpath.Short(towpath.HashOf(s.URL)))
	}
	b, err := os.ReadFile(path(from))
	if err == nil {
		err = os.WriteFile(path(to), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuditExport(t *testing.T) {
	key := newKey(t)
	s, _, _ := realLedger(t, key, 5)
	sh := newShell(t, s)
	file, keyFile := filepath.Join(sh.dir, "ledger.jsonl"), filepath.Join(sh.dir, "key.pub")
	if got := sh.run("audit", "export", file); got.code != cli.ExitOK {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	if err := os.WriteFile(keyFile, []byte(key.Public()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Run("goes to stdout as well", func(t *testing.T) {
		want, err := os.ReadFile(file)
		if got := sh.run("audit", "export"); err != nil || got.stdout != string(want) {
			t.Errorf("%v\n%s", err, got.stdout)
		}
	})
	t.Run("is verified with no server, with the ledger's key", func(t *testing.T) {
		alone := newShell(t, nil)
		if got := alone.run("audit", "verify", "--file", file); got.code != cli.ExitError || !strings.Contains(got.stderr, "--key") {
			t.Errorf("without a key: exit %d: %s", got.code, got.stderr)
		}
		if got := alone.run("audit", "verify", "--file", file, "--key", keyFile); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("has to continue what is kept, however the file of the key ends, unless it is of another key", func(t *testing.T) {
		longer, _, _ := realLedger(t, key, 6)
		sh := newShell(t, longer)
		if got := sh.run("audit", "verify"); got.code != cli.ExitOK {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		for _, end := range []string{"", "\n", "\r\n"} {
			if err := os.WriteFile(keyFile, []byte(key.Public()+end), 0o644); err != nil {
				t.Fatal(err)
			}
			got := sh.run("audit", "verify", "--file", file, "--key", keyFile)
			if got.code != cli.ExitError || !strings.Contains(got.stdout, "the export ends at 5 and the ledger had 6 entries") || got.stderr != "" {
				t.Errorf("%q: exit %d: %s%s", end, got.code, got.stdout, got.stderr)
			}
		}
		other, _, _ := realLedger(t, newKey(t), 6)
		sh.pointTo(other)
		sh.run("audit", "verify")
		got := sh.run("audit", "verify", "--file", file, "--key", keyFile)
		if got.code != cli.ExitOK || !strings.Contains(got.stderr, "of another key than "+keyFile+", and is not used") {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("names the entry that was edited", func(t *testing.T) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(b, []byte("\n"))
		lines[4] = bytes.Replace(lines[4], []byte(`"ana"`), []byte(`"eve"`), 1)
		edited := filepath.Join(sh.dir, "edited.jsonl")
		if err := os.WriteFile(edited, bytes.Join(lines, []byte("\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		got := sh.run("audit", "verify", "--file", edited, "--key", keyFile, "-o", "json")
		if got.code != cli.ExitError || !strings.Contains(got.stdout, `"seq": 4`) || !strings.Contains(got.stdout, `"ok": false`) {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
}
