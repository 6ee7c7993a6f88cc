package ledger

import (
	"context"
	"log/slog"
	"time"

	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
)

// Config says how a [Ledger] works. Key, Owner and Now are required.
type Config struct {
	// Key signs checkpoints; its name is the log's origin.
	Key *merkle.Key
	// Owner names this process and its start, uniquely: it holds the
	// sequencer's lease.
	Owner string
	Now   func() time.Time
	// Kept is the file in which the last signed checkpoint is kept, where
	// whoever writes to the database does not write; empty: in memory only.
	Kept string
	// Batch bounds the events that one transaction sequences; default 2,000.
	Batch int
	// Interval is how often the sequencer looks for events that other servers
	// wrote; default 500 ms.
	Interval time.Duration
	// Lease is how long a dead sequencer keeps others out; default 15 s.
	Lease time.Duration
	Log   *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Batch <= 0 {
		c.Batch = 2000
	}
	if c.Interval <= 0 {
		c.Interval = 500 * time.Millisecond
	}
	if c.Lease <= 0 {
		c.Lease = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Ledger appends and reads events.
type Ledger struct {
	cfg       Config
	db        *sqldb.DB
	verifier  *merkle.Verifier
	sequencer *Sequencer
	changed   *broadcast
}

// New makes a ledger on a migrated database. It starts nothing: run its
// [Sequencer].
func New(cfg Config, db *sqldb.DB) (*Ledger, error) {
	if cfg.Key == nil || cfg.Owner == "" || cfg.Now == nil {
		return nil, towpath.E(towpath.KindInternal, "ledger.new", "the ledger needs a key, an owner and a clock")
	}
	verifier, err := cfg.Key.Verifier()
	if err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg.withDefaults(), db: db, verifier: verifier, changed: newBroadcast()}
	if l.sequencer, err = newSequencer(l); err != nil {
		return nil, err
	}
	return l, nil
}

// Append inserts an event in the caller's transaction: it stands if and only
// if the change does. Call it after the rows of the aggregate are locked, so
// that sequence numbers never invert causes. It takes no lock that other
// writers of events wait for.
func (l *Ledger) Append(ctx context.Context, tx *sqldb.Tx, ev towpath.Event) error {
	row, err := newRow(ev)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertEvent, row.args()...); err != nil {
		if sqldb.IsUnique(err) {
			return towpath.E(towpath.KindConflict, "ledger.append", "the ledger has an event of this ID").On(string(ev.ID)).WithCause(err)
		}
		return err
	}
	tx.AfterCommit(l.sequencer.loop.Wake)
	return nil
}

const insertEvent = `INSERT INTO event (id, leaf, leaf_hash, at, actor, action, project, environment, subject, "release", request_id)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// Sequencer is the loop that numbers the events.
func (l *Ledger) Sequencer() *Sequencer { return l.sequencer }

// Refused is why nothing is numbered and signed, nil while nothing stands
// against it. It says what to do.
func (l *Ledger) Refused() error { return l.sequencer.refusal() }

// Changed is closed when this process has sequenced more events. Watchers also
// poll: another server may be the one that sequences.
func (l *Ledger) Changed() <-chan struct{} { return l.changed.wait() }

// PublicKey is the text of the key that checkpoints are verified with.
func (l *Ledger) PublicKey() string { return l.cfg.Key.Public() }

// Verifier checks what the ledger's key has signed.
func (l *Ledger) Verifier() *merkle.Verifier { return l.verifier }
