package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/router"
)

// kept are the bounds of the router's buckets that are recorded, in seconds; what
// lies between them is added up.
var kept = []float64{0.005, 0.025, 0.1, 0.25, 1}

// writer writes what was counted in each second: a line of the old revision's
// requests, failures and buckets, then the new one's, from which what is zero at
// its end is left out.
type writer struct {
	out    io.Writer
	client *router.Client
	last   [2]row
	header bool
}

// row is requests, failures, then the buckets.
type row []uint64

func newWriter(out io.Writer, client *router.Client) *writer {
	return &writer{out: out, client: client}
}

// write records for a time.
func (w *writer) write(ctx context.Context, length time.Duration) error {
	if !w.header {
		w.header = true
		if _, err := fmt.Fprintln(w.out, header()); err != nil {
			return err
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range int(length / time.Second) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		s, err := w.client.Snapshot(ctx)
		if err != nil {
			return err
		}
		if err := w.line(s); err != nil {
			return err
		}
	}
	return nil
}

func header() string {
	var names []string
	for _, revision := range []string{"old", "new"} {
		names = append(names, revision+" requests", revision+" failed")
		for _, b := range kept {
			names = append(names, fmt.Sprintf("%s ≤ %v s", revision, b))
		}
		names = append(names, revision+" slower")
	}
	return strings.Join(names, ",")
}

func (w *writer) line(s route.Snapshot) error {
	var parts []string
	for i, revision := range []string{oldRevision, newRevision} {
		now := make(row, 2+len(kept)+1)
		for _, series := range s.Series {
			if string(series.Revision) == revision {
				now = counted(series.Client, s.Bounds)
			}
		}
		for k, n := range now {
			was := uint64(0)
			if w.last[i] != nil {
				was = w.last[i][k]
			}
			parts = append(parts, fmt.Sprint(n-was))
		}
		w.last[i] = now
	}
	b := bufio.NewWriter(w.out)
	fmt.Fprintln(b, strings.ReplaceAll(","+strings.Join(parts, ","), ",0", ",")[1:])
	return b.Flush()
}

// counted is a tally as the agent counts it: an answer of 5xx has failed, and so
// has one that a client did not get although it waited for long.
func counted(t route.Tally, bounds []float64) row {
	out := make(row, 2+len(kept)+1)
	for class, n := range t.Requests {
		switch class {
		case route.Aborted:
			continue
		case route.Class5xx, route.Unanswered:
			out[1] += n
		}
		out[0] += n
	}
	at := 0
	for i, n := range t.Buckets {
		for at < len(kept) && (i == len(bounds) || bounds[i] > kept[at]) {
			at++
		}
		out[2+at] += n
	}
	return out
}
