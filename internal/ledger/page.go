package ledger

import (
	"bytes"
	"context"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
)

// pageSize is how many entries verification reads at a time.
const pageSize = 4096

// page is consecutive entries, each consistent in itself, up to the first bad
// one.
type page struct {
	leaves []merkle.Hash
	stored []byte   // the tree's stored hashes that were written with them
	bad    *Finding // of the entry after the last of leaves
}

// readPage reads the entries first to last and checks each against its own
// hash and columns.
func readPage(ctx context.Context, db *sqldb.DB, first, last int64) (page, error) {
	p := page{leaves: make([]merkle.Hash, 0, last-first+1)}
	var err error
	if p.stored, err = readStored(ctx, db, merkle.StoredCount(first-1), merkle.StoredCount(last)); err != nil {
		return page{}, err
	}
	rows, err := db.Query(ctx, `SELECT seq, id, leaf, leaf_hash, at, actor, action, project, environment, subject, "release", request_id
		FROM event WHERE seq >= $1 AND seq <= $2 ORDER BY seq`, first, last)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = rows.Close() }()
	var seq int64
	var r row
	var scratch []byte
	want := first
	for ; rows.Next(); want++ {
		if err := rows.Scan(&seq, &r.id, &r.leaf, &r.hash, &r.at, &r.actor, &r.action, &r.project, &r.environment,
			&r.subject, &r.release, &r.reqID); err != nil {
			return page{}, sqldb.MapError("ledger.verify", err)
		}
		if seq != want {
			break
		}
		var h merkle.Hash
		if h, scratch, p.bad = r.check(seq, scratch); p.bad != nil {
			return p, nil
		}
		p.leaves = append(p.leaves, h)
	}
	if err := rows.Err(); err != nil {
		return page{}, sqldb.MapError("ledger.verify", err)
	}
	if want <= last {
		p.bad = bad(ProblemMissing, want, "", "the entry is missing: it was deleted or renumbered")
	}
	return p, nil
}

// check compares an entry with its own hash and columns.
func (r *row) check(seq int64, scratch []byte) (h merkle.Hash, _ []byte, found *Finding) {
	h = merkle.LeafHash(r.leaf)
	if !bytes.Equal(h[:], r.hash) {
		return h, scratch, bad(ProblemLeaf, seq, r.id, "the record does not have the hash that was stored with it: it was edited")
	}
	column, scratch := r.mismatch(r.leaf, scratch)
	if column != "" {
		return h, scratch, bad(ProblemColumn, seq, r.id, "column %s does not say what the record says: it was edited", column)
	}
	return h, scratch, nil
}

// readStored is the stored hashes with index from ≤ index < to, fewer when some
// are missing.
func readStored(ctx context.Context, db *sqldb.DB, from, to int64) ([]byte, error) {
	out := make([]byte, 0, (to-from)*merkle.HashSize)
	rows, err := db.Query(ctx, `SELECT no, hashes FROM tree_chunk WHERE no >= $1 AND no <= $2 ORDER BY no`,
		from/chunkHashes, (to-1)/chunkHashes)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var no int64
	var data []byte
	next := from
	for rows.Next() && next < to {
		if err := rows.Scan(&no, &data); err != nil {
			return nil, sqldb.MapError("ledger.verify", err)
		}
		skip := (next - no*chunkHashes) * merkle.HashSize
		if skip < 0 || skip > int64(len(data)) {
			break // a row before this one is gone
		}
		take := min(int64(len(data))-skip, (to-next)*merkle.HashSize)
		out = append(out, data[skip:skip+take]...)
		next += take / merkle.HashSize
	}
	return out, sqldb.MapError("ledger.verify", rows.Err())
}
