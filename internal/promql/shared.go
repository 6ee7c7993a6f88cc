package promql

import (
	"context"
	"log/slog"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Batches hand what was pushed to one server to all others. Their times are by
// one clock, which all servers share.
type Batches interface {
	Now(ctx context.Context) (time.Time, error)
	// Put keeps a batch, as of now. Once it returns every server can read it.
	Put(ctx context.Context, id string, body []byte) error
	// After lists the oldest batches from after a moment, without their bodies.
	After(ctx context.Context, at time.Time, limit int) ([]towpath.SampleBatch, error)
	// Bodies reads batches, oldest first.
	Bodies(ctx context.Context, ids []string) ([]towpath.SampleBatch, error)
	// Forget gives up batches from before a moment, and the oldest beyond so many
	// bytes.
	Forget(ctx context.Context, before time.Time, most int64) error
}

// SharedConfig says how servers share what was pushed. Now is required.
type SharedConfig struct {
	Keep     time.Duration // of batches, for servers that were away; default 30 min
	MaxBytes int64         // of the batches that are kept; default 512 MiB
	Now      func() time.Time
	Log      *slog.Logger
}

const (
	// late is how much later than others of its time a batch may be seen: it gets
	// its time before it is committed.
	late = 30 * time.Second
	// Of one pass, so that little is in memory at once.
	passBatches = 64
	passBytes   = 8 << 20
	maxPacked   = 8 << 20 // of one batch
	forgetEvery = time.Minute
)

// Shared is an engine of one of several servers. What is pushed to any of them
// goes to all by way of [Batches], and nothing by another way: so every engine
// has the samples of a series in the order in which they were pushed.
//
// An answer holds all that was pushed to any server before its moment. That is
// no luxury: a counter is compared with what it was when another server asked,
// and one that seems to have fallen seems to have begun anew.
type Shared struct {
	cfg     SharedConfig
	engine  *Embedded
	batches Batches
	turn    chan struct{} // held by who takes in
	taken                 // by who has the turn
}

// taken is what an engine has of the batches.
type taken struct {
	began     bool
	until     time.Time            // of the newest batch that was taken in
	have      map[string]time.Time // batches of late before until, and after
	complete  time.Time            // by our clock: what was pushed before is there
	ahead     time.Duration        // of the shared clock before ours
	forgotten time.Time
	left      int // samples of series that were too many, since that was said
}

var _ Source = (*Shared)(nil)

// NewShared makes the source of one of several servers out of its engine, which
// nobody else appends to.
func NewShared(cfg SharedConfig, engine *Embedded, batches Batches) *Shared {
	if cfg.Keep <= 0 {
		cfg.Keep = 30 * time.Minute
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 512 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Shared{cfg: cfg, engine: engine, batches: batches, turn: make(chan struct{}, 1)}
}

// Append hands samples of this moment to all servers, this one among them. Those
// that an engine has no room for are left out there.
func (s *Shared) Append(ctx context.Context, samples []towpath.MetricSample) (left int, err error) {
	if len(samples) == 0 {
		return 0, nil
	}
	body := pack(samples)
	if len(body) > maxPacked {
		return len(samples), nil
	}
	return 0, s.batches.Put(ctx, towpath.NewID[string]("smp", s.cfg.Now()), body)
}

// Query implements [Source].
func (s *Shared) Query(ctx context.Context, query string, at time.Time) ([]towpath.MetricSample, error) {
	ahead, err := s.whole(ctx, at)
	if err != nil {
		return nil, err
	}
	return s.engine.Query(ctx, query, at.Add(ahead))
}

// Range implements [Source].
func (s *Shared) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Series, error) {
	ahead, err := s.whole(ctx, to)
	if err != nil {
		return nil, err
	}
	out, err := s.engine.Range(ctx, query, from.Add(ahead), to.Add(ahead), step)
	for i := range out {
		for j := range out[i].Points {
			out[i].Points[j].At = out[i].Points[j].At.Add(-ahead)
		}
	}
	return out, err
}

// whole has all taken in that was pushed before a moment, and says how far the
// shared clock is ahead of ours.
func (s *Shared) whole(ctx context.Context, at time.Time) (ahead time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.engine.cfg.Limits.Timeout)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return 0, silent("metrics.query", "has not yet what other servers were told", context.Cause(ctx))
	}
	for more := s.complete.Before(at); more; {
		if more, err = s.pass(ctx); err != nil {
			return 0, silent("metrics.query", "could not be told what other servers were", err)
		}
	}
	return s.ahead, nil
}

// Pass takes in some of what was pushed; more says that there is more.
func (s *Shared) Pass(ctx context.Context) (more bool, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if more, err = s.pass(ctx); err != nil || more {
		return more, err
	}
	return false, s.forget(ctx)
}

func (s *Shared) pass(ctx context.Context) (more bool, err error) {
	before := s.cfg.Now()
	now, err := s.batches.Now(ctx)
	if err != nil {
		return false, err
	}
	s.compareClocks(before, s.cfg.Now(), now)
	if !s.began {
		s.begin(now)
	}
	heads, err := s.batches.After(ctx, s.until.Add(-late), len(s.have)+passBatches)
	if err != nil {
		return false, err
	}
	wanted, more := s.lacking(heads)
	more = more || len(heads) == len(s.have)+passBatches
	if err := s.takeIn(ctx, wanted); err != nil {
		return false, err
	}
	if !more {
		s.complete = before
	}
	return more, nil
}

// compareClocks corrects what is known of how far the shared clock is ahead,
// where it is shown to be wrong: queries of one moment are to be of one moment.
func (t *taken) compareClocks(before, after, shared time.Time) {
	t.ahead = min(max(t.ahead, shared.Sub(after)), shared.Sub(before))
}

// begin goes on where the engine ended, as far back as batches are kept.
func (s *Shared) begin(now time.Time) {
	s.began, s.have = true, map[string]time.Time{}
	s.until = now.Add(-s.cfg.Keep)
	if newest := s.engine.newest(); newest.After(s.until) && newest.Before(now) {
		s.until = newest
	}
}

// lacking are the oldest of batches that the engine does not have.
func (t *taken) lacking(heads []towpath.SampleBatch) (ids []string, more bool) {
	var size int64
	for _, b := range heads {
		if _, has := t.have[b.ID]; has {
			continue
		}
		if size += b.Size; len(ids) == passBatches || len(ids) > 0 && size > passBytes {
			return ids, true
		}
		ids = append(ids, b.ID)
	}
	return ids, false
}

// takeIn gives batches to the engine. One that can't be read is passed over: it
// would stand in the way of all that comes after it.
func (s *Shared) takeIn(ctx context.Context, ids []string) error {
	batches, err := s.batches.Bodies(ctx, ids)
	if err != nil {
		return err
	}
	for _, b := range batches {
		samples, err := unpack(b.Body)
		if err != nil {
			s.cfg.Log.WarnContext(ctx, "metrics that another server was told can't be read; do all servers have the same version?", "batch", b.ID, "error", err)
		} else if left, err := s.engine.takeIn(ctx, b.At, samples); err != nil {
			return err
		} else {
			s.left += left
		}
		s.have[b.ID] = b.At
		if b.At.After(s.until) {
			s.until = b.At
		}
	}
	for id, at := range s.have {
		if at.Before(s.until.Add(-late)) {
			delete(s.have, id)
		}
	}
	return nil
}

// forget gives up what is old, now and then. Any of the servers may.
func (s *Shared) forget(ctx context.Context) error {
	now := s.cfg.Now()
	if now.Sub(s.forgotten) < forgetEvery {
		return nil
	}
	s.forgotten = now
	if s.left > 0 {
		s.cfg.Log.WarnContext(ctx, "metrics were left out: there are too many series", "left", s.left)
		s.left = 0
	}
	return s.batches.Forget(ctx, now.Add(s.ahead-s.cfg.Keep), s.cfg.MaxBytes)
}
