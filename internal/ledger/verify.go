package ledger

import (
	"context"
	"database/sql"
	"errors"
	"runtime"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// VerifyOptions says against what to verify.
type VerifyOptions struct {
	// Trusted is a checkpoint kept outside of the database, its signature
	// checked. Without it a ledger that was cut back to an earlier signed
	// checkpoint looks whole.
	Trusted *merkle.Checkpoint
	// Workers is how many pages are checked at once; default: the processors.
	Workers int
}

// Verify recomputes the whole ledger; see [Verify].
func (l *Ledger) Verify(ctx context.Context, opts VerifyOptions) (Report, error) {
	return Verify(ctx, l.db, l.verifier, opts)
}

// Verify recomputes a ledger from its leaves: every leaf against its hash and
// its columns, every number, every hash of the tree, the root against the
// signed checkpoint and the trusted one. The report names the first bad entry.
// It needs no private key, and entries appended meanwhile don't disturb it.
func Verify(ctx context.Context, db *sqldb.DB, key *merkle.Verifier, opts VerifyOptions) (Report, error) {
	if opts.Trusted != nil && opts.Trusted.Origin != key.Name() {
		return Report{}, towpath.E(towpath.KindInvalid, "ledger.verify", "the trusted checkpoint is of another ledger").
			On(opts.Trusted.Origin).WithHint("give the checkpoint that you kept of %s", key.Name())
	}
	v, err := snapshot(ctx, db, key, opts)
	if err != nil || v.report.Bad != nil {
		return v.report, err
	}
	if v.report.Bad, err = v.entries(ctx, opts); err != nil {
		return Report{}, err
	}
	if v.report.Bad == nil && v.extra > 0 {
		v.report.Bad = bad(ProblemExtra, v.head.size+1, "", "it has a number that the sequencer did not give")
	}
	if err := v.name(ctx); err != nil {
		return Report{}, err
	}
	v.report.OK = v.report.Bad == nil
	return v.report, nil
}

// verification is one run of [Verify].
type verification struct {
	db     *sqldb.DB
	report Report
	head   head
	extra  int64 // entries numbered beyond the head
}

// snapshot reads what the ledger claims of itself.
func snapshot(ctx context.Context, db *sqldb.DB, key *merkle.Verifier, opts VerifyOptions) (*verification, error) {
	v := &verification{db: db, report: Report{Trusted: opts.Trusted}}
	err := db.View(ctx, func(ctx context.Context, tx *sqldb.Tx) (err error) {
		if v.head, err = readHead(ctx, tx); err != nil {
			return err
		}
		if v.report.Note, _, _, err = readCheckpoint(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM event WHERE seq > $1`, v.head.size).Scan(&v.extra); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM event WHERE seq IS NULL`).Scan(&v.report.Unsequenced)
	})
	if err != nil {
		return v, err
	}
	if v.report.Note == "" {
		if v.head.size > 0 {
			v.report.Bad = bad(ProblemUnsigned, 0, "", "the ledger has %d entries and no signed checkpoint", v.head.size)
		}
		return v, nil
	}
	cp, err := key.Open(v.report.Note)
	if err != nil {
		message, _ := towpath.PublicMessage(err)
		v.report.Bad = bad(ProblemSignature, 0, "", "the ledger's checkpoint can't be trusted: %s", message)
		return v, nil
	}
	v.report.Checkpoint, v.report.Signed = &cp, cp.Size
	return v, nil
}

// entries verifies all entries, page by page.
func (v *verification) entries(ctx context.Context, opts VerifyOptions) (found *Finding, err error) {
	last := v.head.size
	expect := []expectation{{size: v.head.size, root: v.head.root, source: "the ledger's head"}}
	if cp := v.report.Checkpoint; cp != nil {
		last = max(last, cp.Size)
		expect = append(expect, expectation{size: cp.Size, root: cp.Root, source: "the signed checkpoint"})
	}
	since := restoredSince(opts.Trusted, v.report.Checkpoint)
	if cp := opts.Trusted; cp != nil {
		last = max(last, cp.Size)
		expect = append(expect, expectation{cp.Size, cp.Root, "the trusted checkpoint", since})
	}
	a := newAudit(expect...)
	workers := opts.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	pages := int((last + pageSize - 1) / pageSize)
	err = reconcile.InOrder(ctx, workers, pages,
		func(ctx context.Context, i int) (page, error) {
			first := int64(i)*pageSize + 1
			return readPage(ctx, v.db, first, min(first+pageSize-1, last))
		},
		func(p page) (bool, error) {
			stored := p.stored
			for _, h := range p.leaves {
				if stored, found = a.add(h, stored); found != nil {
					return false, nil
				}
			}
			found = p.bad
			return found == nil, nil
		})
	v.report.Entries = a.tree.Size()
	if found != nil && found.Problem == ProblemMissing && found.Seq > v.head.size {
		if cp := v.report.Checkpoint; cp != nil && cp.Size > v.head.size {
			since = "" // what is missing was signed after the restore
		}
		found = bad(ProblemTruncated, found.Seq, "", "the ledger ends at %d and had %d entries: the rest was cut off%s", v.head.size, last, since)
	}
	return found, err
}

// name adds the ID of the bad entry where the row still has one.
func (v *verification) name(ctx context.Context) error {
	f := v.report.Bad
	if f == nil || f.Event != "" || f.Seq == 0 || f.Through > f.Seq {
		return nil
	}
	err := v.db.QueryRow(ctx, `SELECT id FROM event WHERE seq = $1`, f.Seq).Scan(&f.Event)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return sqldb.MapError("ledger.verify", err)
}
