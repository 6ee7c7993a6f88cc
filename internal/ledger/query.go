package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// Entry is an event with its place in the ledger.
type Entry struct {
	Seq   int64         `json:"seq"`
	Hash  merkle.Hash   `json:"hash"`
	Event towpath.Event `json:"event"`
}

// Filter selects entries; zero fields select all.
type Filter struct {
	Project     towpath.ProjectName
	Environment towpath.EnvironmentName
	Subject     string
	Action      string
	AfterSeq    int64 // the cursor: entries with a greater seq
	BeforeSeq   int64 // the cursor of a descending list; 0 is none
	Limit       int   // default 100, at most 1,000
	Descending  bool
}

func (f Filter) limit() int {
	if f.Limit <= 0 {
		return 100
	}
	return min(f.Limit, 1000)
}

// List is the sequenced entries that f selects. An event appears once the
// sequencer has numbered it.
func (l *Ledger) List(ctx context.Context, f Filter) ([]Entry, error) {
	where := []string{"seq > $1"}
	args := []any{f.AfterSeq}
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf("%s $%d", condition, len(args)))
	}
	if f.Project != "" {
		add("project =", string(f.Project))
	}
	if f.Environment != "" {
		add("environment =", string(f.Environment))
	}
	if f.Subject != "" {
		add("subject =", f.Subject)
	}
	if f.Action != "" {
		add("action =", f.Action)
	}
	if f.BeforeSeq > 0 {
		add("seq <", f.BeforeSeq)
	}
	order := "ASC"
	if f.Descending {
		order = "DESC"
	}
	args = append(args, f.limit())
	return l.entries(ctx, fmt.Sprintf(`SELECT seq, leaf_hash, leaf FROM event WHERE %s ORDER BY seq %s LIMIT $%d`,
		strings.Join(where, " AND "), order, len(args)), args...)
}

// Since is the entries after seq, in order: what a watcher asks for with the
// last seq that it saw.
func (l *Ledger) Since(ctx context.Context, seq int64, limit int) ([]Entry, error) {
	return l.List(ctx, Filter{AfterSeq: seq, Limit: limit})
}

// Entry is the entry of a seq.
func (l *Ledger) Entry(ctx context.Context, seq int64) (Entry, error) {
	found, err := l.entries(ctx, `SELECT seq, leaf_hash, leaf FROM event WHERE seq = $1`, seq)
	if err == nil && len(found) == 0 {
		err = towpath.E(towpath.KindNotFound, "ledger.entry", "the ledger has no entry %d", seq)
	}
	if err != nil {
		return Entry{}, err
	}
	return found[0], nil
}

func (l *Ledger) entries(ctx context.Context, query string, args ...any) ([]Entry, error) {
	rows, err := l.db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Entry
	for rows.Next() {
		var e Entry
		var hash, leaf []byte
		if err := rows.Scan(&e.Seq, &hash, &leaf); err != nil {
			return nil, sqldb.MapError("ledger.list", err)
		}
		if e.Event, err = decode(leaf); err != nil || len(hash) != merkle.HashSize {
			return nil, towpath.E(towpath.KindInternal, "ledger.list", "entry %d of the ledger is damaged", e.Seq).
				WithHint("verify the ledger").WithCause(err)
		}
		e.Hash = merkle.Hash(hash)
		out = append(out, e)
	}
	return out, sqldb.MapError("ledger.list", rows.Err())
}

// Window is what was committed and not yet sequenced. It is empty within
// moments while a sequencer works: alarm on its age.
type Window struct {
	Events int64
	Age    time.Duration // of the oldest event, by its own time
}

// Unsequenced is the window at now.
func (l *Ledger) Unsequenced(ctx context.Context, now time.Time) (Window, error) {
	var w Window
	var oldest *int64
	err := l.db.QueryRow(ctx, `SELECT COUNT(*), MIN(at) FROM event WHERE seq IS NULL`).Scan(&w.Events, &oldest)
	if err == nil && oldest != nil {
		w.Age = max(now.Sub(sqldb.Time(*oldest)), 0)
	}
	return w, sqldb.MapError("ledger.window", err)
}
