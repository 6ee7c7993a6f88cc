package router

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// bounds are the upper ends of the buckets of latencies.
var bounds = towpath.LatencyBounds()

// seconds are the bounds as they stand in a snapshot.
func seconds() []float64 {
	out := make([]float64, len(bounds))
	for i, b := range bounds {
		out[i] = b.Seconds()
	}
	return out
}

// Indices of classes in a tally, in the order of [route.Classes].
const (
	class1xx = iota
	class2xx
	class3xx
	class4xx
	class5xx
	classAborted
	classUnanswered
	classCount
)

// tally counts requests without a lock.
type tally struct {
	classes [classCount]atomic.Uint64
	buckets [len(bounds) + 1]atomic.Uint64
	nanos   atomic.Int64
}

// count adds a request. One that the client gave up soon has a class, and no
// latency: it says when the client lost its patience, not how long an answer takes.
// One that it gave up after a while would have taken at least that long.
func (t *tally) count(class int, took time.Duration) {
	t.classes[class].Add(1)
	if class == classAborted {
		return
	}
	b, _ := slices.BinarySearch(bounds[:], took)
	t.buckets[b].Add(1)
	t.nanos.Add(int64(took))
}

func (t *tally) read() route.Tally {
	out := route.Tally{Requests: make(map[route.Class]uint64, classCount), Buckets: make([]uint64, len(t.buckets))}
	for i, c := range route.Classes() {
		out.Requests[c] = t.classes[i].Load()
	}
	for i := range t.buckets {
		out.Buckets[i] = t.buckets[i].Load()
	}
	out.Seconds = time.Duration(t.nanos.Load()).Seconds()
	return out
}

// add counts what another router counted, which may be of another version and
// count between other bounds: see [towpath.Rebucket].
func (t *tally) add(o route.Tally, theirs []float64) {
	for i, c := range route.Classes() {
		t.classes[i].Add(o.Requests[c])
	}
	buckets := towpath.Rebucket(theirs, o.Buckets, seconds())
	if buckets == nil {
		return
	}
	for i, n := range buckets {
		t.buckets[i].Add(n)
	}
	t.nanos.Add(int64(o.Seconds * float64(time.Second)))
}

// seriesKey is the labels of a series.
type seriesKey struct {
	route      string
	revision   towpath.RevisionID
	deployment towpath.DeploymentID
	release    towpath.Digest
}

// series counts the requests of one revision in one route.
type series struct {
	key      seriesKey
	client   tally
	mirrored tally
	original tally // of client, what was copied
	retries  atomic.Uint64
	dropped  atomic.Uint64

	// Below is the counter's, under its lock.
	weight int
	left   bool
	order  uint64  // of leaving
	readBy readers // since it left
}

// readers is a set of those who read counters. A series of a revision that left
// is kept until each of those who ever read has read its last value.
type readers uint8

// Who reads.
const (
	readMetrics  readers = 1 << iota // whoever scrapes /metrics
	readSnapshot                     // the agent
)

// maxLeft bounds the series of revisions that left: nobody may ever read.
const maxLeft = 64

// counter owns the series of a router.
type counter struct {
	mu     sync.Mutex
	series map[seriesKey]*series
	ever   readers
	leaves uint64
}

func newCounter() *counter { return &counter{series: map[seriesKey]*series{}} }

func keyOf(name string, b route.Backend) seriesKey {
	return seriesKey{route: name, revision: b.Revision, deployment: b.Deployment, release: b.Release}
}

// enter makes the series of a route those of its revisions: new ones begin at
// zero, those of revisions that left are dropped after they have been read.
func (c *counter) enter(name string, list []route.Backend) []*series {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*series, len(list))
	for i, b := range list {
		out[i] = c.get(keyOf(name, b))
		out[i].left, out[i].readBy, out[i].weight = false, 0, b.Weight
	}
	for _, s := range c.series {
		if s.key.route == name && !s.left && !slices.Contains(out, s) {
			c.leaves++
			s.left, s.order, s.readBy, s.weight = true, c.leaves, 0, 0
		}
	}
	c.bound()
	return out
}

func (c *counter) get(k seriesKey) *series {
	s, ok := c.series[k]
	if !ok {
		s = &series{key: k}
		c.series[k] = s
	}
	return s
}

// bound drops the series that left first while there are too many.
func (c *counter) bound() {
	var gone []*series
	for _, s := range c.series {
		if s.left {
			gone = append(gone, s)
		}
	}
	if len(gone) <= maxLeft {
		return
	}
	slices.SortFunc(gone, func(a, b *series) int { return cmp.Compare(a.order, b.order) })
	for _, s := range gone[:len(gone)-maxLeft] {
		delete(c.series, s.key)
	}
}

// flight is what requests are under way to.
type flight struct {
	route    string
	revision towpath.RevisionID
}

// snapshot reads everything. A series that left, and has no request under way,
// is dropped after every reader there ever was has seen it.
func (c *counter) snapshot(by readers, now time.Time, inFlight map[flight]int64) route.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ever |= by
	out := route.Snapshot{At: now, Bounds: seconds(), Series: make([]route.Series, 0, len(c.series))}
	for k, s := range c.series {
		under := inFlight[flight{k.route, k.revision}]
		out.Series = append(out.Series, route.Series{
			Route: k.route, Revision: k.revision, Deployment: k.deployment, Release: k.release, Left: s.left,
			Weight: s.weight, InFlight: under, Client: s.client.read(), Mirrored: s.mirrored.read(), Original: s.original.read(),
			Retries: s.retries.Load(), Dropped: s.dropped.Load(),
		})
		if !s.left || under > 0 || by == 0 {
			continue
		}
		if s.readBy |= by; bits.OnesCount8(uint8(s.readBy&c.ever)) == bits.OnesCount8(uint8(c.ever)) {
			delete(c.series, k)
		}
	}
	slices.SortFunc(out.Series, func(a, b route.Series) int {
		return cmp.Or(strings.Compare(a.Route, b.Route), cmp.Compare(a.Revision, b.Revision),
			cmp.Compare(a.Deployment, b.Deployment), cmp.Compare(a.Release, b.Release))
	})
	return out
}

// absorb adds what another router counted from one time to another.
func (c *counter) absorb(now, before route.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range subtract(now, before).Series {
		k := seriesKey{route: x.Route, revision: x.Revision, deployment: x.Deployment, release: x.Release}
		s, ok := c.series[k]
		if !ok && nothing(x) {
			continue // it was read and dropped here
		}
		if !ok {
			s = c.get(k)
			c.leaves++
			s.left, s.order = true, c.leaves
		}
		s.client.add(x.Client, now.Bounds)
		s.mirrored.add(x.Mirrored, now.Bounds)
		s.original.add(x.Original, now.Bounds)
		s.retries.Add(x.Retries)
		s.dropped.Add(x.Dropped)
	}
	c.bound()
}

// subtract is what was counted between two snapshots of one router.
func subtract(now, before route.Snapshot) route.Snapshot {
	was := map[seriesKey]route.Series{}
	for _, x := range before.Series {
		was[seriesKey{x.Route, x.Revision, x.Deployment, x.Release}] = x
	}
	out := now
	out.Series = make([]route.Series, len(now.Series))
	for i, x := range now.Series {
		b := was[seriesKey{x.Route, x.Revision, x.Deployment, x.Release}]
		x.Client, x.Mirrored = subtractTally(x.Client, b.Client), subtractTally(x.Mirrored, b.Mirrored)
		x.Original = subtractTally(x.Original, b.Original)
		x.Retries, x.Dropped = less(x.Retries, b.Retries), less(x.Dropped, b.Dropped)
		out.Series[i] = x
	}
	return out
}

func subtractTally(now, before route.Tally) route.Tally {
	out := route.Tally{Requests: map[route.Class]uint64{}, Buckets: make([]uint64, len(now.Buckets)), Seconds: max(0, now.Seconds-before.Seconds)}
	for class, n := range now.Requests {
		out.Requests[class] = less(n, before.Requests[class])
	}
	for i, n := range now.Buckets {
		if out.Buckets[i] = n; i < len(before.Buckets) {
			out.Buckets[i] = less(n, before.Buckets[i])
		}
	}
	return out
}

// less is what was added, which is never less than nothing: a series may have
// begun anew.
func less(now, before uint64) uint64 { return now - min(now, before) }

func nothing(x route.Series) bool {
	for _, class := range route.Classes() {
		if x.Client.Requests[class] > 0 || x.Mirrored.Requests[class] > 0 {
			return false
		}
	}
	return x.Retries == 0 && x.Dropped == 0
}
