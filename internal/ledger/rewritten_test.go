package ledger_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// keeping starts a server that keeps what it signed last in a file.
func keeping(t *testing.T, db *sqldb.DB, key *merkle.Key, file string, log *bytes.Buffer) *ledger.Ledger {
	t.Helper()
	cfg := ledger.Config{Key: key, Owner: "one", Now: func() time.Time { return start }, Kept: file}
	if log != nil {
		cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	l, err := ledger.New(cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func change(t *testing.T, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// rewrite edits the record of an entry and all that follows from it but the
// signature: its hash, the tree, the head.
func rewrite(t *testing.T, db *sqldb.DB, seq int64) {
	t.Helper()
	forgeLeaf(t, db, seq, true, false)
	var leaves []merkle.Hash
	rows, err := db.Query(t.Context(), `SELECT leaf_hash FROM event WHERE seq IS NOT NULL ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var h []byte
		if err := rows.Scan(&h); err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, merkle.Hash(h))
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := merkle.NewBuilder(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var stored []merkle.Hash
	for _, leaf := range leaves {
		stored = b.Append(leaf, stored)
	}
	for no := 0; no*32 < len(stored); no++ {
		var chunk []byte
		for _, h := range stored[no*32 : min(no*32+32, len(stored))] {
			chunk = append(chunk, h[:]...)
		}
		change(t, db, `UPDATE tree_chunk SET hashes = $1 WHERE no = $2`, chunk, no)
	}
	root := b.Root()
	change(t, db, `UPDATE ledger_head SET root = $1`, root[:])
}

// TestSequencer_Rewritten: who can write to the database, and has no key, finds
// no server that signs what they made of the ledger.
func TestSequencer_Rewritten(t *testing.T) {
	type who int
	const (
		same      who = iota // the server that signed, with what it remembers
		restarted            // with its file
		unaware              // another one, which has the database and nothing else
	)
	key, other := newKey(t), newKey(t)
	forgeChunk := func(t *testing.T, db *sqldb.DB, index int64) {
		var chunk []byte
		if err := db.QueryRow(t.Context(), `SELECT hashes FROM tree_chunk WHERE no = $1`, index/32).Scan(&chunk); err != nil {
			t.Fatal(err)
		}
		chunk[index%32*32]++
		change(t, db, `UPDATE tree_chunk SET hashes = $1 WHERE no = $2`, chunk, index/32)
	}
	for _, tt := range []struct {
		name  string
		by    who
		forge func(t *testing.T, db *sqldb.DB, early string)
		says  string
	}{
		{"an entry and all that follows from it", unaware, func(t *testing.T, db *sqldb.DB, _ string) { rewrite(t, db, 41) }, "does not continue"},
		{"and the checkpoint deleted, while the server runs", same, func(t *testing.T, db *sqldb.DB, _ string) {
			rewrite(t, db, 41)
			change(t, db, `DELETE FROM checkpoint`)
		}, "does not continue"},
		{"and the checkpoint deleted, while it was stopped", restarted, func(t *testing.T, db *sqldb.DB, _ string) {
			rewrite(t, db, 41)
			change(t, db, `DELETE FROM checkpoint`)
		}, "does not continue"},
		{"after an earlier checkpoint, which was put back", restarted, func(t *testing.T, db *sqldb.DB, early string) {
			rewrite(t, db, 81)
			change(t, db, `UPDATE checkpoint SET size = 60, note = $1`, early)
		}, "does not continue"},
		{"the root alone", restarted, func(t *testing.T, db *sqldb.DB, _ string) {
			change(t, db, `UPDATE ledger_head SET root = (SELECT leaf_hash FROM event WHERE seq = 1)`)
			change(t, db, `DELETE FROM checkpoint`)
		}, "does not continue"},
		{"cut back to an earlier checkpoint", restarted, func(t *testing.T, db *sqldb.DB, early string) {
			truncate(t, db, 60)
			change(t, db, `UPDATE checkpoint SET size = 60, note = $1`, early)
		}, "of 60 entries, does not continue the last checkpoint that was signed, of 100 entries"},
		{"emptied", restarted, func(t *testing.T, db *sqldb.DB, _ string) {
			for _, table := range []string{"event", "tree_chunk", "ledger_head", "checkpoint"} {
				change(t, db, `DELETE FROM `+table)
			}
		}, "of 0 entries, does not continue"},
		{"the hashes that the next entry is added to", same, func(t *testing.T, db *sqldb.DB, _ string) {
			forgeChunk(t, db, merkle.StoredCount(64)-1)
		}, "not those of the ledger's head"},
		{"a checkpoint that was never signed", same, func(t *testing.T, db *sqldb.DB, _ string) {
			change(t, db, `UPDATE checkpoint SET note = REPLACE(note, '100', '101'), size = 101`)
		}, "not one that the ledger's key signed"},
		{"a checkpoint of another key", unaware, func(t *testing.T, db *sqldb.DB, _ string) {
			note, err := other.Sign(merkle.Checkpoint{Size: 1000, Epoch: 1})
			if err != nil {
				t.Fatal(err)
			}
			change(t, db, `UPDATE checkpoint SET note = $1, size = 1000`, note)
		}, "not one that the ledger's key signed"},
		{"a size that keeps checkpoints from being written", unaware, func(t *testing.T, db *sqldb.DB, _ string) {
			change(t, db, `UPDATE checkpoint SET size = 1000`)
		}, "not one that the ledger's key signed"},
		{"an epoch that nobody began", same, func(t *testing.T, db *sqldb.DB, _ string) {
			change(t, db, `INSERT INTO ledger_meta (epoch, since, size, reason) VALUES (2, 0, 0, 'x')`)
		}, "is of epoch 2"},
		{"an epoch that nobody began, without the checkpoint", restarted, func(t *testing.T, db *sqldb.DB, _ string) {
			change(t, db, `INSERT INTO ledger_meta (epoch, since, size, reason) VALUES (2, 0, 0, 'x')`)
			change(t, db, `DELETE FROM checkpoint`)
		}, "is of epoch 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				file, log := filepath.Join(t.TempDir(), "ledger.checkpoint"), &bytes.Buffer{}
				l := keeping(t, db, key, file, log)
				fill(t, db, l, 60)
				early, _, err := l.Checkpoint(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				fill(t, db, l, 40)
				switch tt.by {
				case restarted:
					l = keeping(t, db, key, file, log)
				case unaware:
					l = keeping(t, db, key, "", log)
				}
				appendEvents(t, db, l, event(100))
				tt.forge(t, db, early)
				before := notes(t, db)
				for range 2 {
					if n, err := l.Sequencer().RunOnce(t.Context()); n != 0 || towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(err.Error(), tt.says) {
						t.Fatalf("sequenced %d, %v", n, err)
					}
				}
				if after := notes(t, db); after != before {
					t.Errorf("it signed\n%s", after)
				}
				if message, hint := towpath.PublicMessage(l.Refused()); !strings.Contains(message, tt.says) || !strings.Contains(hint, "--restored") {
					t.Errorf("it says %q, %q", message, hint)
				}
				if s := log.String(); strings.Count(s, "level=ERROR") != 1 || !strings.Contains(s, "towpath audit verify") {
					t.Errorf("the log says\n%s", s)
				}
			})
		})
	}
}

// notes is all checkpoints that the database has.
func notes(t *testing.T, db *sqldb.DB) string {
	t.Helper()
	rows, err := db.Query(t.Context(), `SELECT note FROM checkpoint ORDER BY epoch`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all strings.Builder
	for rows.Next() {
		var note string
		if err := rows.Scan(&note); err != nil {
			t.Fatal(err)
		}
		all.WriteString(note)
	}
	return all.String()
}

func TestSequencer_Kept(t *testing.T) {
	key := newKey(t)
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		dir := t.TempDir()
		file, older := filepath.Join(dir, "ledger.checkpoint"), filepath.Join(dir, "older")
		l := keeping(t, db, key, file, nil)
		fill(t, db, l, 60)
		b, err := os.ReadFile(file)
		if err != nil || string(b) != notes(t, db) {
			t.Fatalf("kept %q, %v", b, err)
		}
		if err := os.WriteFile(older, b, 0o600); err != nil {
			t.Fatal(err)
		}
		fill(t, db, l, 40)
		t.Run("an older one is continued, and brought up to date", func(t *testing.T) {
			two := keeping(t, db, key, older, nil)
			if n := drain(t, two); n != 0 {
				t.Fatal(n)
			}
			if b, err := os.ReadFile(older); err != nil || string(b) != notes(t, db) {
				t.Fatalf("kept %q, %v", b, err)
			}
		})
		t.Run("a ledger whose checkpoint is gone, and nothing else, is signed anew", func(t *testing.T) {
			before := notes(t, db)
			change(t, db, `DELETE FROM checkpoint`)
			drain(t, keeping(t, db, key, file, nil))
			if after := notes(t, db); after != before {
				t.Fatalf("signed %q", after)
			}
		})
		t.Run("goes on once the database is as it was", func(t *testing.T) {
			appendEvents(t, db, l, event(100))
			change(t, db, `UPDATE ledger_meta SET epoch = 2`)
			if _, err := l.Sequencer().RunOnce(t.Context()); err == nil || l.Refused() == nil {
				t.Fatal("it went on")
			}
			change(t, db, `UPDATE ledger_meta SET epoch = 1`)
			if n := drain(t, l); n != 1 || l.Refused() != nil {
				t.Fatal(n, l.Refused())
			}
		})
		t.Run("signs no more while the file can't be written", func(t *testing.T) {
			gone := filepath.Join(t.TempDir(), "gone")
			l := keeping(t, db, key, filepath.Join(gone, "ledger.checkpoint"), nil)
			appendEvents(t, db, l, event(101))
			if _, err := l.Sequencer().RunOnce(t.Context()); towpath.KindOf(err) != towpath.KindUnavailable || l.Refused() == nil {
				t.Fatal(err, l.Refused())
			}
			if n, err := l.Sequencer().RunOnce(t.Context()); n != 0 || err == nil {
				t.Fatal(n, err)
			}
			if err := os.Mkdir(gone, 0o700); err != nil {
				t.Fatal(err)
			}
			if n := drain(t, l); n != 1 || l.Refused() != nil {
				t.Fatal(n, l.Refused())
			}
		})
		t.Run("a file that is no checkpoint of the key is refused", func(t *testing.T) {
			if err := os.WriteFile(older, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ledger.New(ledger.Config{Key: key, Owner: "one", Now: time.Now, Kept: older}, db)
			if _, hint := towpath.PublicMessage(err); towpath.KindOf(err) != towpath.KindConflict || !strings.Contains(hint, "ledger.key") {
				t.Fatal(err)
			}
		})
	})
}
