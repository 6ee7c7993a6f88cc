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
// then the checkpoint, and nothing after it. A leaf stands in the line as the bytes that were
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
	if _, err := out.Write(exportLine{Version: exportVersion, Key: l.PublicKey(), Size: cp.Size}.appendTo(nil)); err != nil {
		return err
	}
	for after := int64(0); after < cp.Size; after += pageSize {
		if err := l.exportPage(ctx, out, after, min(after+pageSize, cp.Size)); err != nil {
			return err
		}
	}
	if _, err := out.Write(exportLine{Checkpoint: note}.appendTo(nil)); err != nil {
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
	var text []byte
	for rows.Next() {
		var line exportLine
		var leaf []byte
		if err := rows.Scan(&line.Seq, &line.Hash, &leaf); err != nil {
			return sqldb.MapError("ledger.export", err)
		}
		if !json.Valid(leaf) || bytes.ContainsAny(leaf, "\r\n") || len(bytes.TrimSpace(leaf)) != len(leaf) {
			line.LeafBase64 = leaf
		} else {
			line.Leaf = leaf
		}
		text = line.appendTo(text[:0])
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return sqldb.MapError("ledger.export", rows.Err())
}

// appendTo appends the one form that a line is written in, and taken in: what
// else decodes to the same, others may read otherwise.
func (line exportLine) appendTo(b []byte) []byte {
	switch {
	case line.Version != 0:
		line = exportLine{Version: line.Version, Key: line.Key, Size: line.Size}
	case line.Checkpoint != "":
		line = exportLine{Checkpoint: line.Checkpoint}
	default:
		b = append(b, `{"seq":`...)
		b = strconv.AppendInt(b, line.Seq, 10)
		b = append(b, `,"hash":"`...)
		b = base64.StdEncoding.AppendEncode(b, line.Hash)
		if line.Leaf != nil { // not by an encoder, which would compact it
			b = append(b, `","leaf":`...)
			b = append(b, line.Leaf...)
			return append(b, "}\n"...)
		}
		b = append(b, `","leaf_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, line.LeafBase64)
		return append(b, "\"}\n"...)
	}
	text, err := encode(line)
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return append(append(b, text...), '\n')
}
