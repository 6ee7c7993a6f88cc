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

// ReadHashes implements [merkle.Reader].
func (t tree) ReadHashes(indexes []int64) ([]merkle.Hash, error) {
	chunks := map[int64][]byte{}
	out := make([]merkle.Hash, len(indexes))
	for i, index := range indexes {
		no, at := index/chunkHashes, int(index%chunkHashes)*merkle.HashSize
		data, ok := chunks[no]
		if !ok {
			var err error
			if data, err = readChunk(t.ctx, t.q, no); err != nil {
				return nil, err
			}
			chunks[no] = data
		}
		if len(data) < at+merkle.HashSize {
			return nil, fmt.Errorf("stored hash %d of the ledger's tree is missing", index)
		}
		out[i] = merkle.Hash(data[at : at+merkle.HashSize])
	}
	return out, nil
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
