package promql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/towpath/towpath/internal/towpath"
)

// EmbeddedConfig says how the embedded engine works.
type EmbeddedConfig struct {
	Dir       string        // of the samples; one process at a time
	Retention time.Duration // default 2 days
	MaxBytes  int64         // of what is kept on disk; default 1 GiB
	MaxSeries int           // in memory, active ones and those of the last hours; default 50,000
	Log       *slog.Logger
	Limits    Limits
}

// lookback is how old the last sample of a series may be to be an answer. Agents
// push every few seconds; what has stopped pushing says nothing.
const lookback = time.Minute

// Embedded is the engine of Prometheus over samples on the local disk. Every
// server has its own; [Shared] gives those of several the same samples.
type Embedded struct {
	cfg    EmbeddedConfig
	db     *tsdb.DB
	engine *promql.Engine
	series seriesLimit

	mu   sync.Mutex // one append at a time
	last int64      // milliseconds: samples of a series come in the order of time
}

var _ Source = (*Embedded)(nil)

// OpenEmbedded opens the samples in a folder. A folder that can't be read any
// more is set aside, and samples begin anew: they are evidence for minutes, and
// no reason not to serve.
func OpenEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	if cfg.Retention <= 0 {
		cfg.Retention = 48 * time.Hour
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 1 << 30
	}
	if cfg.MaxSeries <= 0 {
		cfg.MaxSeries = 50_000
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	e := &Embedded{cfg: cfg, series: seriesLimit{most: int64(cfg.MaxSeries)}}
	if err := e.open(); err != nil {
		aside := cfg.Dir + ".unreadable"
		if moved := errors.Join(os.RemoveAll(aside), os.Rename(cfg.Dir, aside)); moved == nil {
			cfg.Log.Error("the samples can't be read; they begin anew", "aside", aside, "error", err)
			err = e.open()
		}
		if err != nil {
			return nil, towpath.E(towpath.KindUnavailable, "metrics.open", "the folder of samples can't be opened").On(cfg.Dir).WithCause(err).
				WithHint("is another server running with the same data folder?")
		}
	}
	e.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: cfg.Limits.Samples * 10, // read for one answer
		Timeout:    cfg.Limits.Timeout, LookbackDelta: lookback, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return (10 * time.Second).Milliseconds() },
		Parser:                   parser.NewParser(parser.Options{}),
	})
	return e, nil
}

func (e *Embedded) open() error {
	e.series.have.Store(0)
	e.series.reads.Store(true)
	defer e.series.reads.Store(false)
	o := tsdb.DefaultOptions()
	o.RetentionDuration = e.cfg.Retention.Milliseconds()
	o.MaxBytes = e.cfg.MaxBytes
	// Small: a server idles with a few hundred series. Samples older than half
	// an hour need not be in memory.
	o.MinBlockDuration = (30 * time.Minute).Milliseconds()
	o.MaxBlockDuration = (6 * time.Hour).Milliseconds()
	o.StripeSize = 512
	o.WALSegmentSize = 8 << 20
	o.HeadChunksWriteBufferSize = chunks.MinWriteBufferSize
	o.HeadChunksWriteQueueSize = 0
	o.SeriesLifecycleCallback = &e.series
	var err error
	e.db, err = tsdb.Open(e.cfg.Dir, slog.New(warnings{e.cfg.Log.Handler()}), nil, o, nil)
	return err
}

// Close ends the engine. What was appended is on disk.
func (e *Embedded) Close() error {
	return errors.Join(e.engine.Close(), e.db.Close())
}

// Append keeps samples of one moment; `__name__` is the label of the name. Those
// of new series beyond the limit are left out and counted; others are kept. A
// moment that is not after the last one becomes the next millisecond.
func (e *Embedded) Append(ctx context.Context, at time.Time, samples []towpath.MetricSample) (left int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ms := max(at.UnixMilli(), e.last+1)
	if ahead := ms - at.UnixMilli(); ahead > time.Minute.Milliseconds() {
		ms = at.UnixMilli() // the clock was set back: series are silent until it has caught up
	}
	left, old, err := e.commit(ctx, ms, samples)
	if err != nil {
		return 0, err
	}
	e.last = ms
	return left + old, nil
}

// takeIn keeps samples of a moment that somebody else has set. What is there
// already, or is older than what is there, changes nothing; those of new series
// beyond the limit are counted.
func (e *Embedded) takeIn(ctx context.Context, at time.Time, samples []towpath.MetricSample) (left int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	left, _, err = e.commit(ctx, at.UnixMilli(), samples)
	return left, err
}

// newest is the moment of the newest sample; zero when there is none.
func (e *Embedded) newest() time.Time {
	if ms := e.db.Head().MaxTime(); ms > 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

// commit keeps samples, but for those of too many series and those that come too
// late.
func (e *Embedded) commit(ctx context.Context, ms int64, samples []towpath.MetricSample) (many, old int, err error) {
	const op = "metrics.append"
	app := e.db.Appender(ctx)
	for _, s := range samples {
		_, err := app.Append(0, labels.FromMap(s.Labels), ms, s.Value)
		switch {
		case err == nil:
		case errors.Is(err, errTooMany), errors.Is(err, tsdb.ErrInvalidSample):
			many++
		case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrOutOfBounds),
			errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
			old++
		default:
			return 0, 0, errors.Join(towpath.E(towpath.KindUnavailable, op, "samples can't be kept").WithCause(err), app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		return 0, 0, towpath.E(towpath.KindUnavailable, op, "samples can't be kept").WithCause(err)
	}
	return many, old, nil
}

// Query implements [Source].
func (e *Embedded) Query(ctx context.Context, query string, at time.Time) ([]towpath.MetricSample, error) {
	const op = "metrics.query"
	q, err := e.engine.NewInstantQuery(ctx, e.db, nil, query, at)
	if err != nil {
		return nil, e.failed(op, err)
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return nil, e.failed(op, result.Err)
	}
	switch v := result.Value.(type) {
	case promql.Scalar:
		return []towpath.MetricSample{{Value: v.V}}, nil
	case promql.Vector:
		out := make([]towpath.MetricSample, 0, len(v))
		for _, s := range v {
			if s.H == nil { // a native histogram has no value of its own
				out = append(out, towpath.MetricSample{Labels: s.Metric.Map(), Value: s.F})
			}
		}
		return out, e.within(op, len(out))
	default:
		return nil, refused(op, fmt.Sprintf("it answers a %s, and an instant vector or a scalar is wanted", result.Value.Type()))
	}
}

// Range implements [Source].
func (e *Embedded) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Series, error) {
	const op = "metrics.range"
	q, err := e.engine.NewRangeQuery(ctx, e.db, nil, query, from, to, step)
	if err != nil {
		return nil, e.failed(op, err)
	}
	defer q.Close()
	result := q.Exec(ctx)
	matrix, err := result.Matrix()
	if err != nil {
		return nil, e.failed(op, err)
	}
	var out []Series
	n := 0
	for _, s := range matrix {
		x := Series{Labels: s.Metric.Map()}
		for _, p := range s.Floats {
			x.Points = append(x.Points, Point{At: time.UnixMilli(p.T).UTC(), Value: p.F})
		}
		if len(x.Points) > 0 {
			out = append(out, x)
			n += len(x.Points)
		}
	}
	return out, e.within(op, n)
}

func (e *Embedded) within(op string, n int) error {
	if n > e.cfg.Limits.Samples {
		return tooLong(op, e.cfg.Limits.Samples)
	}
	return nil
}

// failed says what kind of failure the engine's is.
func (e *Embedded) failed(op string, err error) error {
	var parse parser.ParseErrors
	var timeout promql.ErrQueryTimeout
	var cancelled promql.ErrQueryCanceled
	var many promql.ErrTooManySamples
	var store promql.ErrStorage
	switch {
	case errors.As(err, &parse):
		return refused(op, err.Error())
	case errors.As(err, &timeout):
		return silent(op, fmt.Sprintf("did not answer within %s", e.cfg.Limits.Timeout), err)
	case errors.As(err, &many):
		return tooLong(op, e.cfg.Limits.Samples)
	case errors.As(err, &cancelled), errors.As(err, &store):
		return silent(op, "could not finish its answer", err)
	default: // an expression that can't be evaluated
		return refused(op, err.Error())
	}
}

// warnings leaves out what the engine says when all is well.
type warnings struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

// WithAttrs implements [slog.Handler].
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }

// WithGroup implements [slog.Handler].
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }

// errTooMany refuses a series.
var errTooMany = errors.New("too many series")

// seriesLimit bounds the series in memory. What is read from disk is counted, and
// not refused: the log there has series, too, that were given up since, and those
// twice that are there, and one that is refused fails all of it.
type seriesLimit struct {
	most  int64
	have  atomic.Int64
	reads atomic.Bool // the folder, when it is opened
}

// PreCreation implements [tsdb.SeriesLifecycleCallback].
func (l *seriesLimit) PreCreation(labels.Labels) error {
	if !l.reads.Load() && l.have.Load() >= l.most {
		return errTooMany
	}
	return nil
}

// PostCreation implements [tsdb.SeriesLifecycleCallback].
func (l *seriesLimit) PostCreation(labels.Labels) { l.have.Add(1) }

// PostDeletion implements [tsdb.SeriesLifecycleCallback].
func (l *seriesLimit) PostDeletion(gone map[chunks.HeadSeriesRef]labels.Labels) {
	l.have.Add(-int64(len(gone)))
}
