package ledger

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// MaxLeaf bounds the bytes of one event.
const MaxLeaf = 256 << 10

// columns are the projections of a leaf, in the order of its JSON.
type columns struct {
	id                                                           string
	at                                                           int64
	actor, action, project, environment, subject, release, reqID string
}

// row is an event as stored.
type row struct {
	columns
	leaf []byte
	hash []byte
}

// newRow encodes an event, once: what is hashed is what is stored.
func newRow(ev towpath.Event) (row, error) {
	ev.At = ev.At.UTC().Truncate(time.Microsecond)
	if ev.ID == "" || ev.Actor == "" || ev.Action == "" || ev.At.IsZero() {
		return row{}, towpath.E(towpath.KindInternal, "ledger.append", "an event needs an ID, a time, an actor and an action").On(string(ev.ID))
	}
	c := columnsOf(ev)
	for _, s := range []string{c.id, c.actor, c.action, c.project, c.environment, c.subject, c.release, c.reqID} {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return row{}, towpath.E(towpath.KindInvalid, "ledger.append", "an event has a text that is not UTF-8").On(string(ev.ID))
		}
	}
	leaf, err := encode(ev)
	if err != nil {
		return row{}, towpath.E(towpath.KindInternal, "ledger.append", "the event has no JSON form").On(string(ev.ID)).WithCause(err)
	}
	if len(leaf) > MaxLeaf {
		return row{}, towpath.E(towpath.KindExhausted, "ledger.append", "the event has %d bytes; the limit is %d", len(leaf), MaxLeaf).
			On(string(ev.ID)).WithHint("keep large facts in a blob and record its digest")
	}
	h := merkle.LeafHash(leaf)
	return row{columns: c, leaf: leaf, hash: h[:]}, nil
}

func (r row) args() []any {
	return []any{r.id, r.leaf, r.hash, r.at, r.actor, r.action, r.project, r.environment, r.subject, r.release, r.reqID}
}

func columnsOf(ev towpath.Event) columns {
	return columns{
		id: string(ev.ID), at: sqldb.Micros(ev.At), actor: ev.Actor, action: ev.Action, project: string(ev.Project),
		environment: string(ev.Environment), subject: ev.Subject, release: string(ev.Release), reqID: ev.RequestID,
	}
}

// encode is compact JSON in the order of the struct's fields, without HTML
// escapes and without newlines.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads an event back from its leaf.
func decode(leaf []byte) (ev towpath.Event, err error) {
	err = json.Unmarshal(leaf, &ev)
	return ev, err
}

// mismatch names the first column that does not say what the leaf says; it is
// empty when all do. It does not decode leaves that begin with exactly the
// JSON of the columns, which is every leaf that [encode] wrote: verifying a
// million of them must not take a million decodings. buf is scratch space.
func (c *columns) mismatch(leaf, buf []byte) (column string, scratch []byte) {
	buf = c.appendPrefix(buf[:0])
	if rest, ok := bytes.CutPrefix(leaf, buf); ok && endsColumns(rest) {
		return "", buf
	}
	ev, err := decode(leaf)
	if err != nil {
		return "leaf", buf
	}
	return c.differs(columnsOf(ev)), buf
}

// differs names the first field in which c and d differ.
func (c *columns) differs(d columns) string {
	switch {
	case c.id != d.id:
		return "id"
	case c.at != d.at:
		return "at"
	case c.actor != d.actor:
		return "actor"
	case c.action != d.action:
		return "action"
	case c.project != d.project:
		return "project"
	case c.environment != d.environment:
		return "environment"
	case c.subject != d.subject:
		return "subject"
	case c.release != d.release:
		return "release"
	case c.reqID != d.reqID:
		return "request_id"
	}
	return ""
}

// endsColumns reports whether what follows the columns in a leaf is no column.
func endsColumns(rest []byte) bool {
	return string(rest) == "}" || bytes.HasPrefix(rest, []byte(`,"reason":`)) || bytes.HasPrefix(rest, []byte(`,"data":`))
}

func (c *columns) appendPrefix(b []byte) []byte {
	b = appendString(append(b, `{"id":`...), c.id)
	b = append(b, `,"at":"`...)
	b = sqldb.Time(c.at).AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendString(append(b, `,"actor":`...), c.actor)
	b = appendString(append(b, `,"action":`...), c.action)
	b = appendOptional(b, `,"project":`, c.project)
	b = appendOptional(b, `,"environment":`, c.environment)
	b = appendOptional(b, `,"subject":`, c.subject)
	b = appendOptional(b, `,"release":`, c.release)
	return appendOptional(b, `,"request_id":`, c.reqID)
}

func appendOptional(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, name...), s)
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			quoted, err := encode(s)
			if err != nil {
				return b // strings always encode
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
