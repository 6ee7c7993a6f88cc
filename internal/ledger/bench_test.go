package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

// BenchmarkLedger_Append16WritersPostgres: 16 writers, each event in a business
// transaction of its own that also changes a row, while the sequencer runs. The
// figure counts events that were sequenced and signed.
func BenchmarkLedger_Append16WritersPostgres(b *testing.B) {
	db := dbtest.Postgres(b)
	l := newLedger(b, db)
	ctx, stop := context.WithCancel(b.Context())
	var sequencing, writing sync.WaitGroup
	sequencing.Go(func() { _ = l.Sequencer().Run(ctx) })
	const writers = 16
	for w := range writers {
		mustExec(b, db, `INSERT INTO lease (name, owner, fence, until) VALUES ($1, '', 0, 0)`, fmt.Sprint("bench", w))
	}
	var next atomic.Int64
	b.ResetTimer()
	for w := range writers {
		writing.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				ev := event(int(i))
				err := db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
					if _, err := tx.Exec(ctx, `UPDATE lease SET fence = fence + 1 WHERE name = $1`, fmt.Sprint("bench", w)); err != nil {
						return err
					}
					return l.Append(ctx, tx, ev)
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	for changed := l.Changed(); ; changed = l.Changed() {
		w, err := l.Unsequenced(ctx, start)
		if err != nil {
			b.Fatal(err)
		}
		if w.Events == 0 {
			break
		}
		<-changed
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	stop()
	sequencing.Wait()
	if r := verify(b, l, nil); !r.OK || r.Entries != int64(b.N) {
		b.Fatalf("%+v", r)
	}
}

// BenchmarkLedger_Verify1M verifies a million events, on each engine.
func BenchmarkLedger_Verify1M(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *sqldb.DB{"SQLite": dbtest.SQLite, "PostgreSQL": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			const n = 1_000_000
			db := open(b)
			l := newLedger(b, db)
			bulk(b, db, l, n)
			b.ResetTimer()
			for range b.N {
				if r := verify(b, l, nil); !r.OK || r.Entries != n {
					b.Fatalf("%+v", r)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// bulk writes n sequenced events past the sequencer, many a statement, and lets
// the sequencer add the last one, which signs all.
func bulk(b *testing.B, db *sqldb.DB, l *ledger.Ledger, n int) {
	b.Helper()
	const rows, columns = 500, 12
	tree, err := merkle.NewBuilder(0, nil)
	if err != nil {
		b.Fatal(err)
	}
	var values []string
	for i := range rows {
		values = append(values, "("+sqldb.Params(i*columns+1, columns)+")")
	}
	insert := func(n int) string {
		return `INSERT INTO event (seq, id, leaf, leaf_hash, at, actor, action, project, environment, subject, "release", request_id) VALUES ` + strings.Join(values[:n], ", ")
	}
	var stored []merkle.Hash
	err = db.InTx(b.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		args := make([]any, 0, rows*columns)
		for i := range n - 1 {
			ev := event(i)
			leaf := ledger.Leaf(ev)
			h := merkle.LeafHash(leaf)
			stored = tree.Append(h, stored)
			args = append(args, i+1, string(ev.ID), leaf, h[:], sqldb.Micros(ev.At), ev.Actor, ev.Action, string(ev.Project), string(ev.Environment), ev.Subject, string(ev.Release), "")
			if len(args) == cap(args) || i == n-2 {
				if _, err := tx.Exec(ctx, insert(len(args)/columns), args...); err != nil {
					return err
				}
				args = args[:0]
			}
		}
		for no := 0; no*32 < len(stored); no++ {
			var chunk []byte
			for _, h := range stored[no*32 : min(no*32+32, len(stored))] {
				chunk = append(chunk, h[:]...)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO tree_chunk (no, hashes) VALUES ($1, $2)`, no, chunk); err != nil {
				return err
			}
		}
		root := tree.Root()
		_, err := tx.Exec(ctx, `INSERT INTO ledger_head (id, size, root, fence) VALUES (1, $1, $2, 0)`, tree.Size(), root[:])
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	last := towpath.NewEvent(start.Add(time.Hour), "ana", "promotion.requested")
	appendEvents(b, db, l, last)
	drain(b, l)
}

func mustExec(b *testing.B, db *sqldb.DB, query string, args ...any) {
	b.Helper()
	if _, err := db.Exec(b.Context(), query, args...); err != nil {
		b.Fatal(err)
	}
}
