package promql

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Source answers queries. It is safe for concurrent use. Whatever passes the
// conformance suite of this package may be one.
type Source interface {
	// Query answers what a query is at a moment: each series once, in no
	// particular order. A scalar is a series without labels.
	Query(ctx context.Context, query string, at time.Time) ([]towpath.MetricSample, error)
	// Range answers what a query is at each step from a moment to another.
	Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Series, error)
}

// Series is one series of an answer to a range query.
type Series struct {
	Labels map[string]string
	Points []Point // in the order of time
}

// Point is a value at a moment.
type Point struct {
	At    time.Time
	Value float64
}

// Limits bound what a source is asked and answers. The zero Limits are usable.
type Limits struct {
	Timeout time.Duration // of a query; default 5 s
	Samples int           // of an answer, and of what is read for it; default 100,000
	Bytes   int64         // of an answer's body; default 16 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Timeout <= 0 {
		l.Timeout = 5 * time.Second
	}
	if l.Samples <= 0 {
		l.Samples = 100_000
	}
	if l.Bytes <= 0 {
		l.Bytes = 16 << 20
	}
	return l
}

func tooLong(op string, n int) error {
	return towpath.E(towpath.KindExhausted, op, "the answer has more than %d samples", n).
		WithHint("let the query sum up or select less")
}

func refused(op, why string) error {
	return towpath.E(towpath.KindInvalid, op, "the metric source refuses the query: %s", clean(why)).
		WithHint("correct the query in towpath.yaml")
}

func silent(op, what string, cause error) error {
	return towpath.E(towpath.KindUnavailable, op, "the metric source %s", what).WithCause(cause).
		WithHint("is it up, and is its address right? `towpath server --help` says where it is set")
}

// clean makes one short line of what a source says.
func clean(s string) string {
	out := make([]rune, 0, 200)
	for _, r := range s {
		if len(out) == 200 {
			return string(out) + "…"
		}
		if r < ' ' {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
