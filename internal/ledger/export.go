package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"

	"github.com/towpath/towpath/internal/sqldb"
)

// exportVersion is the version of the export's lines.
const exportVersion = 1

// exportLine is one line of an export: the header first, then every entry,
// then the checkpoint. A leaf stands in the line as the bytes that were
// hashed.
type exportLine struct {
	Version    int             `json:"towpath_ledger,omitempty"`
	Key        string          `json:"key,omitempty"`  // for people; verification never trusts it
	Size       int64           `json:"size,omitempty"` // of the ledger at the checkpoint
	Seq        int64           `json:"seq,omitempty"`
	Hash       []byte          `json:"hash,omitempty"`
	Leaf       json.RawMessage `json:"leaf,omitempty"`
	LeafBase64 []byte          `json:"leaf_base64,omitempty"` // of a leaf that is no JSON: it is damaged
	Checkpoint string          `json:"checkpoint,omitempty"`
}

// Export writes the ledger up to its signed checkpoint as JSON lines. It
// copies what is stored, right or wrong: [VerifyExport] judges it.
func (l *Ledger) Export(ctx context.Context, w io.Writer) error {
	note, cp, err := l.Checkpoint(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if err := writeLine(out, exportLine{Version: exportVersion, Key: l.PublicKey(), Size: cp.Size}); err != nil {
		return err
	}
	for after := int64(0); after < cp.Size; after += pageSize {
		if err := l.exportPage(ctx, out, after, min(after+pageSize, cp.Size)); err != nil {
			return err
		}
	}
	if err := writeLine(out, exportLine{Checkpoint: note}); err != nil {
		return err
	}
	return out.Flush()
}

func (l *Ledger) exportPage(ctx context.Context, w io.Writer, after, last int64) error {
	rows, err := l.db.Query(ctx, `SELECT seq, leaf_hash, leaf FROM event WHERE seq > $1 AND seq <= $2 ORDER BY seq`, after, last)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var seq int64
	var hash, leaf, line []byte
	for rows.Next() {
		if err := rows.Scan(&seq, &hash, &leaf); err != nil {
			return sqldb.MapError("ledger.export", err)
		}
		if !json.Valid(leaf) || bytes.ContainsRune(leaf, '\n') {
			err = writeLine(w, exportLine{Seq: seq, Hash: hash, LeafBase64: leaf})
		} else {
			line = appendEntry(line[:0], seq, hash, leaf)
			_, err = w.Write(line)
		}
		if err != nil {
			return err
		}
	}
	return sqldb.MapError("ledger.export", rows.Err())
}

// appendEntry is [writeLine] without touching the leaf, whose bytes an encoder
// would compact.
func appendEntry(b []byte, seq int64, hash, leaf []byte) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	b = append(b, `,"hash":"`...)
	b = base64.StdEncoding.AppendEncode(b, hash)
	b = append(b, `","leaf":`...)
	b = append(b, leaf...)
	return append(b, "}\n"...)
}

func writeLine(w io.Writer, line exportLine) error {
	b, err := encode(line)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
