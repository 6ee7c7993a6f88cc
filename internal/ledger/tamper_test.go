package ledger_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// TestVerify_Tampering: whoever can write to the database changes it in every
// way, and verification names the first entry that is not as it was.
func TestVerify_Tampering(t *testing.T) {
	type tampering struct {
		name    string
		sql     []string
		forge   func(t *testing.T, db *sqldb.DB) // beside sql
		trusted bool                             // needs the client's checkpoint to show
		seq     int64
		through int64
		problem ledger.Problem
	}
	replaceLeaf := func(fixHash, fixTree bool) func(*testing.T, *sqldb.DB) {
		return func(t *testing.T, db *sqldb.DB) { forgeLeaf(t, db, 41, fixHash, fixTree) }
	}
	for _, tt := range []tampering{
		{name: "an edited record", forge: replaceLeaf(false, false), seq: 41, problem: ledger.ProblemLeaf},
		{name: "an edited record with its hash", forge: replaceLeaf(true, false), seq: 41, problem: ledger.ProblemReplaced},
		{name: "an edited record with its hash and the tree's", forge: replaceLeaf(true, true), seq: 41, through: 42, problem: ledger.ProblemTree},
		{name: "an edited project", sql: []string{`UPDATE event SET project = 'other' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an edited time", sql: []string{`UPDATE event SET at = at + 1 WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an edited actor", sql: []string{`UPDATE event SET actor = 'bo' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an edited action", sql: []string{`UPDATE event SET action = 'x' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an edited environment", sql: []string{`UPDATE event SET environment = '' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an edited subject", sql: []string{`UPDATE event SET subject = 'a"b' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an edited release", sql: []string{`UPDATE event SET "release" = 'x' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "a removed release", sql: []string{`UPDATE event SET "release" = '' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an added request ID", sql: []string{`UPDATE event SET request_id = 'x' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "an edited ID", sql: []string{`UPDATE event SET id = 'evt_x' WHERE seq = 7`}, seq: 7, problem: ledger.ProblemColumn},
		{name: "two edits, of which the first is named", sql: []string{`UPDATE event SET actor = 'bo' WHERE seq IN (90, 12)`}, seq: 12, problem: ledger.ProblemColumn},
		{name: "the first entry deleted", sql: []string{`DELETE FROM event WHERE seq = 1`}, seq: 1, problem: ledger.ProblemMissing},
		{name: "an entry deleted", sql: []string{`DELETE FROM event WHERE seq = 50`}, seq: 50, problem: ledger.ProblemMissing},
		{name: "the last entry deleted", sql: []string{`DELETE FROM event WHERE seq = 100`}, seq: 100, problem: ledger.ProblemMissing},
		{name: "an entry deleted and the later ones moved up", sql: []string{
			`DELETE FROM event WHERE seq = 50`, `UPDATE event SET seq = -seq WHERE seq > 50`, `UPDATE event SET seq = -seq - 1 WHERE seq < 0`,
		}, seq: 50, problem: ledger.ProblemReplaced},
		{name: "two entries swapped", sql: []string{
			`UPDATE event SET seq = -30 WHERE seq = 30`, `UPDATE event SET seq = 30 WHERE seq = 60`, `UPDATE event SET seq = 60 WHERE seq = -30`,
		}, seq: 30, problem: ledger.ProblemReplaced},
		{name: "an entry un-sequenced", sql: []string{`UPDATE event SET seq = NULL WHERE seq = 20`}, seq: 20, problem: ledger.ProblemMissing},
		{name: "a number given by hand", sql: []string{`UPDATE event SET seq = 101 WHERE seq IS NULL`}, seq: 101, problem: ledger.ProblemExtra},
		{name: "rows cut off", sql: []string{`DELETE FROM event WHERE seq > 80`}, seq: 81, problem: ledger.ProblemMissing},
		{name: "rows and head cut off", forge: func(t *testing.T, db *sqldb.DB) { truncate(t, db, 80) }, seq: 81, problem: ledger.ProblemTruncated},
		{name: "everything deleted", sql: []string{`DELETE FROM event`, `DELETE FROM ledger_head`, `DELETE FROM checkpoint`, `DELETE FROM tree_chunk`}, trusted: true, seq: 1, problem: ledger.ProblemTruncated},
		{name: "the checkpoint deleted", sql: []string{`DELETE FROM checkpoint`}, problem: ledger.ProblemUnsigned},
		{name: "the checkpoint forged", sql: []string{`UPDATE checkpoint SET note = REPLACE(note, '100', '099')`}, problem: ledger.ProblemSignature},
		{name: "the head's root edited", sql: []string{`UPDATE ledger_head SET root = (SELECT leaf_hash FROM event WHERE seq = 1)`}, seq: 1, through: 100, problem: ledger.ProblemRoot},
		{name: "the tree's hashes deleted", sql: []string{`DELETE FROM tree_chunk WHERE no = 2`}, seq: 34, problem: ledger.ProblemTree},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
				l := newLedger(t, db)
				fill(t, db, l, 100)
				kept := checkpoint(t, l)
				appendEvents(t, db, l, event(100)) // not yet sequenced
				if r := verify(t, l, &kept); !r.OK || r.Entries != 100 || r.Unsequenced != 1 {
					t.Fatalf("before: %+v", r)
				}
				for _, q := range tt.sql {
					if _, err := db.Exec(t.Context(), q); err != nil {
						t.Fatal(err)
					}
				}
				if tt.forge != nil {
					tt.forge(t, db)
				}
				var trusted *merkle.Checkpoint
				if tt.trusted {
					if r := verify(t, l, nil); !r.OK {
						t.Fatalf("it shows without the client's checkpoint: %v", r.Bad)
					}
					trusted = &kept
				}
				r := verify(t, l, trusted)
				if r.OK || r.Bad == nil {
					t.Fatalf("it was not found: %+v", r)
				}
				if r.Bad.Seq != tt.seq || r.Bad.Through != tt.through || r.Bad.Problem != tt.problem {
					t.Fatalf("found %s at %d–%d (%s), want %s at %d–%d", r.Bad.Problem, r.Bad.Seq, r.Bad.Through, r.Bad, tt.problem, tt.seq, tt.through)
				}
				gone := tt.problem == ledger.ProblemMissing || tt.problem == ledger.ProblemTruncated
				if tt.seq > 0 && tt.through == 0 && !gone && r.Bad.Event == "" {
					t.Errorf("the entry's ID is not named: %v", r.Bad)
				}
			})
		})
	}
}

// TestVerify_Rewound: the database was replaced by an earlier copy of
// itself, with its own valid signature.
func TestVerify_Rewound(t *testing.T) {
	key := newKey(t)
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := withKey(t, db, key, "one", func() time.Time { return start })
		fill(t, db, l, 60)
		note, _, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, l, 40)
		kept := checkpoint(t, l)
		truncate(t, db, 60)
		if _, err := db.Exec(t.Context(), `UPDATE checkpoint SET note = $1, size = 60`, note); err != nil {
			t.Fatal(err)
		}
		t.Run("looks whole by itself", func(t *testing.T) {
			if r := verify(t, l, nil); !r.OK {
				t.Fatal(r.Bad)
			}
		})
		t.Run("is cut off by the checkpoint that a client kept", func(t *testing.T) {
			r := verify(t, l, &kept)
			if r.OK || r.Bad.Problem != ledger.ProblemTruncated || r.Bad.Seq != 61 {
				t.Fatalf("%+v", r.Bad)
			}
		})
		t.Run("and grown again otherwise is found too", func(t *testing.T) {
			// By a server that has kept nothing: this one would sign it no more.
			unaware := withKey(t, db, key, "one", func() time.Time { return start })
			appendEvents(t, db, unaware, event(1000))
			fill(t, db, unaware, 60)
			r := verify(t, l, &kept)
			if r.OK || r.Bad.Problem != ledger.ProblemRoot || r.Bad.Through != 100 {
				t.Fatalf("%+v", r.Bad)
			}
		})
		t.Run("another ledger's checkpoint is refused", func(t *testing.T) {
			other := kept
			other.Origin = "other"
			if _, err := l.Verify(t.Context(), ledger.VerifyOptions{Trusted: &other}); towpath.KindOf(err) != towpath.KindInvalid {
				t.Fatalf("got %v", err)
			}
		})
	})
}

// forgeLeaf edits the record of an entry, and what else an intruder thinks of.
// What it edited it makes as it was.
func forgeLeaf(t *testing.T, db *sqldb.DB, seq int64, fixHash, fixTree bool) {
	t.Helper()
	ctx := t.Context()
	var leaf []byte
	if err := db.QueryRow(ctx, `SELECT leaf FROM event WHERE seq = $1`, seq).Scan(&leaf); err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(leaf, []byte(`"n":`), []byte(`"m":`), 1)
	if bytes.Equal(leaf, forged) {
		forged = bytes.Replace(leaf, []byte(`"m":`), []byte(`"n":`), 1) // back
	}
	leaf = forged
	h := merkle.LeafHash(leaf)
	if _, err := db.Exec(ctx, `UPDATE event SET leaf = $1 WHERE seq = $2`, leaf, seq); err != nil {
		t.Fatal(err)
	}
	if fixHash {
		if _, err := db.Exec(ctx, `UPDATE event SET leaf_hash = $1 WHERE seq = $2`, h[:], seq); err != nil {
			t.Fatal(err)
		}
	}
	if fixTree {
		index := merkle.StoredCount(seq - 1)
		var chunk []byte
		if err := db.QueryRow(ctx, `SELECT hashes FROM tree_chunk WHERE no = $1`, index/32).Scan(&chunk); err != nil {
			t.Fatal(err)
		}
		copy(chunk[index%32*32:], h[:])
		if _, err := db.Exec(ctx, `UPDATE tree_chunk SET hashes = $1 WHERE no = $2`, chunk, index/32); err != nil {
			t.Fatal(err)
		}
	}
}

// truncate cuts rows, tree and head off, as they were at size.
func truncate(t *testing.T, db *sqldb.DB, size int64) {
	t.Helper()
	var leaves [][]byte
	rows, err := db.Query(t.Context(), `SELECT leaf FROM event WHERE seq <= $1 ORDER BY seq`, size)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := merkle.NewBuilder(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves {
		b.Append(merkle.LeafHash(leaf), nil)
	}
	root := b.Root()
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`DELETE FROM event WHERE seq > $1`, []any{size}},
		{`DELETE FROM tree_chunk WHERE no > $1`, []any{(merkle.StoredCount(size) - 1) / 32}},
		{`UPDATE ledger_head SET size = $1, root = $2`, []any{size, root[:]}},
	} {
		if _, err := db.Exec(t.Context(), q.sql, q.args...); err != nil {
			t.Fatal(err)
		}
	}
}
