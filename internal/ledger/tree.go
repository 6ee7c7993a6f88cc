package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
)

// chunkHashes is how many stored hashes one row of tree_chunk holds. Hashes are
// only ever added at the end, so all rows but the last are full and final; at
// 1 KiB PostgreSQL keeps them in line.
const chunkHashes = 32

// tree reads the stored hashes within one transaction or snapshot.
type tree struct {
	ctx context.Context // of the transaction: [merkle.Reader] takes none
	q   sqldb.Querier
}

// errNoHash is that somebody has deleted hashes: a head is written with all of
// its own.
var errNoHash = errors.New("a stored hash of the ledger's tree is missing")

// ReadHashes implements [merkle.Reader].
func (t tree) ReadHashes(indexes []int64) ([]merkle.Hash, error) {
	chunks, err := t.chunks(indexes)
	if err != nil {
		return nil, err
	}
	out := make([]merkle.Hash, len(indexes))
	for i, index := range indexes {
		no, at := index/chunkHashes, int(index%chunkHashes)*merkle.HashSize
		data := chunks[no]
		if len(data) < at+merkle.HashSize {
			return nil, fmt.Errorf("%w: number %d", errNoHash, index)
		}
		out[i] = merkle.Hash(data[at : at+merkle.HashSize])
	}
	return out, nil
}

// chunks is the bytes of all chunks that have the hashes, by their numbers.
func (t tree) chunks(indexes []int64) (map[int64][]byte, error) {
	chunks := map[int64][]byte{}
	var nos []any
	for _, index := range indexes {
		if no := index / chunkHashes; chunks[no] == nil {
			chunks[no] = []byte{}
			nos = append(nos, no)
		}
	}
	if len(nos) == 0 {
		return chunks, nil
	}
	rows, err := t.q.Query(t.ctx, `SELECT no, hashes FROM tree_chunk WHERE no IN (`+sqldb.Params(1, len(nos))+`)`, nos...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var no int64
		var data []byte
		if err := rows.Scan(&no, &data); err != nil {
			return nil, sqldb.MapError("ledger.tree", err)
		}
		chunks[no] = data
	}
	return chunks, sqldb.MapError("ledger.tree", rows.Err())
}

// readChunk is the bytes of a chunk; none when it does not exist.
func readChunk(ctx context.Context, q sqldb.Querier, no int64) ([]byte, error) {
	var data []byte
	err := q.QueryRow(ctx, `SELECT hashes FROM tree_chunk WHERE no = $1`, no).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return data, sqldb.MapError("ledger.tree", err)
}

// writeHashes adds hashes behind the count that are stored.
func writeHashes(ctx context.Context, tx *sqldb.Tx, count int64, hashes []merkle.Hash) error {
	no := count / chunkHashes
	data, err := readChunk(ctx, tx, no)
	if err != nil {
		return err
	}
	if have := int64(len(data)); have < count%chunkHashes*merkle.HashSize {
		return fmt.Errorf("chunk %d of the ledger's tree is short", no)
	}
	data = slices.Clone(data[:count%chunkHashes*merkle.HashSize])
	for i, h := range hashes {
		data = append(data, h[:]...)
		if len(data) < chunkHashes*merkle.HashSize && i < len(hashes)-1 {
			continue
		}
		if _, err := tx.Exec(ctx, `INSERT INTO tree_chunk (no, hashes) VALUES ($1, $2)
			ON CONFLICT (no) DO UPDATE SET hashes = excluded.hashes`, no, data); err != nil {
			return err
		}
		no++
		data = make([]byte, 0, chunkHashes*merkle.HashSize)
	}
	return nil
}
