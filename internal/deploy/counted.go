package deploy

import (
	"slices"
	"time"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/towpath"
)

// routed is what the data plane counted for an objective of both revisions
// between two counts. A revision that has copies only is compared by them with
// what became of the requests that were copied: the others may be of another sort.
// Before there were any, all requests teach how the old one's scatter.
func routed(r *towpath.Rollout, o towpath.Objective, from, to towpath.TrafficCount) analysis.Reading {
	out := analysis.Reading{Canary: between(o, from, to, r.To), Baseline: between(o, from, to, r.From)}
	if !r.Mirrors() {
		return out
	}
	out.Canary = copied(o, from, to, r.To, func(c towpath.RevisionCount) *towpath.RequestCount { return c.Copies })
	if had(from, r.To) || had(to, r.To) {
		out.Baseline = copied(o, from, to, r.From, func(c towpath.RevisionCount) *towpath.RequestCount { return c.Originals })
	}
	return out
}

// had reports whether a revision got copies of requests, or has got some.
func had(c towpath.TrafficCount, rev towpath.RevisionID) bool {
	x, _ := revision(c, rev)
	return x.Copied > 0 || x.Copies != nil && x.Copies.Requests > 0
}

// between is what an objective counts of a revision's requests between two
// counts; nil when the revision was not counted.
func between(o towpath.Objective, from, to towpath.TrafficCount, rev towpath.RevisionID) *analysis.Sample {
	end, ok := revision(to, rev)
	if !ok {
		return nil
	}
	begin, _ := revision(from, rev)
	users := func(c towpath.RevisionCount) towpath.RequestCount {
		return towpath.RequestCount{Requests: c.Requests, Failed: c.Failed, Buckets: c.Buckets}
	}
	return counting(o, from.Bounds, to.Bounds, users(begin), users(end))
}

// copied is the same of copies, or of what was copied.
func copied(o towpath.Objective, from, to towpath.TrafficCount, rev towpath.RevisionID, of func(towpath.RevisionCount) *towpath.RequestCount) *analysis.Sample {
	end, ok := revision(to, rev)
	if !ok {
		return nil
	}
	begin, _ := revision(from, rev)
	b, e := of(begin), of(end)
	if e == nil {
		e = &towpath.RequestCount{Buckets: make([]uint64, len(to.Bounds)+1)}
	}
	if b == nil {
		b = &towpath.RequestCount{}
	}
	return counting(o, from.Bounds, to.Bounds, *b, *e)
}

// counting is what was counted from one time to another. A counter that is lower
// than before began anew. Of latencies it is nil where nothing can be told.
func counting(o towpath.Objective, before, bounds []float64, begin, end towpath.RequestCount) *analysis.Sample {
	if end.Requests < begin.Requests || end.Failed < begin.Failed {
		begin = towpath.RequestCount{}
	}
	if o.Kind != towpath.ObjectiveLatency {
		return &analysis.Sample{Total: float64(end.Requests - begin.Requests), Bad: float64(end.Failed - begin.Failed)}
	}
	if len(begin.Buckets) > 0 && !slices.Equal(before, bounds) {
		return recounted(o, before, bounds, begin.Buckets, end.Buckets)
	}
	return &analysis.Sample{Histogram: &analysis.Histogram{Bounds: bounds, Counts: grown(begin.Buckets, end.Buckets)}}
}

// recounted is what was counted while a router of another version took over,
// which counts between other bounds: by those that both have, because what the
// first one counted is exact there. Where the objective's bound is none of them
// nobody knows of this one interval how many were beyond it.
func recounted(o towpath.Objective, before, bounds []float64, begin, end []uint64) *analysis.Sample {
	both := slices.DeleteFunc(slices.Clone(bounds), func(b float64) bool { return !slices.Contains(before, b) })
	was, now := towpath.Rebucket(before, begin, both), towpath.Rebucket(bounds, end, both)
	if was == nil || now == nil || !slices.Contains(both, o.Bound.Seconds()) {
		return nil
	}
	return &analysis.Sample{Histogram: &analysis.Histogram{Bounds: both, Counts: grown(was, now)}}
}

// grown is what came to counters. Where one of them is lower all began anew.
func grown(begin, end []uint64) []float64 {
	anew := len(begin) != len(end)
	for i := 0; !anew && i < len(end); i++ {
		anew = end[i] < begin[i]
	}
	out := make([]float64, len(end))
	for i, n := range end {
		if !anew {
			n -= begin[i]
		}
		out[i] = float64(n)
	}
	return out
}

func revision(c towpath.TrafficCount, rev towpath.RevisionID) (towpath.RevisionCount, bool) {
	for _, x := range c.Revisions {
		if x.Revision == rev {
			return x, true
		}
	}
	return towpath.RevisionCount{}, false
}

// copiedUntil is when the last copies of requests were counted, by the server's
// clock; zero when there were none.
func copiedUntil(r *towpath.Rollout, counts []towpath.TrafficCount) (until time.Time) {
	var before uint64
	for _, c := range counts {
		x, _ := revision(c, r.To)
		now := before
		if x.Copies != nil {
			now = x.Copies.Requests
		}
		if !c.Before && (x.Copied > 0 || now != before) {
			until = c.Received
		}
		before = now
	}
	return until
}

// forUsers is since when all that the new revision does is for users, by the
// server's clock, as far as that can be told: since it was counted to have a part
// of the traffic, and since the last copies. False: no user has had it yet.
func forUsers(r *towpath.Rollout, counts []towpath.TrafficCount) (since time.Time, had bool) {
	for _, c := range counts {
		if x, _ := revision(c, r.To); !c.Before && x.Weight > 0 {
			return latest(copiedUntil(r, counts), c.Received), true
		}
	}
	return since, false
}

// onlyForUsers are readings without what the new revision did before: what it
// counts itself can't tell copies, or the requests of verification jobs, from users'.
func onlyForUsers(all []reading, r *towpath.Rollout, counts []towpath.TrafficCount) []reading {
	since, had := forUsers(r, counts)
	for i := range all {
		if !had || all[i].began.Before(since) {
			all[i].Canary = nil
		}
	}
	return all
}
