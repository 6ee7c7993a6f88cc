package run

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of the health checks of what shares traffic.
const (
	failsInRow = 3  // after which an instance counts as broken
	maxWatched = 64 // health checks under way at a time, of all targets
)

// sharer is an instance whose revision shares the traffic of its target with
// another one, has copies of it, or stands by while another one is looked at that
// has just got all of it.
type sharer struct {
	id, address  string
	start, index int
	revision     towpath.RevisionID
	spec         process.Spec
}

// sharers are those of a target that the router sends requests to, each of which
// was healthy when it got the first, and where one revision gets them all the
// instances of the one beside it: what they do says whose fault it is.
func (r *Runner) sharers(rec *target, t route.Traffic) ([]sharer, error) {
	var out []sharer
	for _, b := range t.Backends() {
		if b.Weight == 0 && (t.Mirror == nil || t.Mirror.Revision != b.Revision) {
			continue
		}
		all, err := r.ready(rec, b.Revision)
		if err != nil {
			return nil, err
		}
		out = append(out, slices.DeleteFunc(all, func(s sharer) bool {
			return !slices.Contains(b.Instances, route.Instance{ID: s.id, Address: s.address})
		})...)
	}
	if rev := standBy(rec, t); rev != "" {
		all, err := r.ready(rec, rev)
		return append(out, all...), err
	}
	return out, nil
}

// ready are the instances of a revision that run.
func (r *Runner) ready(rec *target, rev towpath.RevisionID) (out []sharer, err error) {
	for i, id := range rec.instances(rev) {
		in, err := r.look(id)
		if err != nil {
			return nil, err
		}
		if in.ready() {
			out = append(out, sharer{id: id, address: in.record.address(), start: in.spec.Start, index: i, revision: rev, spec: rec.Revisions[rev].Spec})
		}
	}
	return out, nil
}

// standBy is the revision that runs without traffic beside the one that has all of
// it, and is not only kept; "" when there is none.
func standBy(rec *target, t route.Traffic) towpath.RevisionID {
	if len(t.Others) > 0 {
		return ""
	}
	rest := rec.unkept(t.Revision)
	if len(rest) == 0 {
		return ""
	}
	return rest[0]
}

// watch is how sharers answer their health checks. What is asked is found when
// it is looked at the next time: nobody waits for an instance that hangs.
type watch struct {
	mu       sync.Mutex
	known    map[string]*checked // by instance
	underWay int
}

// checked is what is known of one start of an instance.
type checked struct {
	start    int
	asked    time.Time // the last time
	underWay bool
	fails    int    // in a row
	why      string // of the last one
}

// silent is why a revision's instances don't do their work although they run;
// empty: they answer. What all of the one that it is compared with fail to answer
// as well is an outage of both, and no fault of this revision.
func (w *watch) silent(all []sharer, rev, beside towpath.RevisionID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rev != beside && w.allFail(all, beside) {
		return ""
	}
	for _, s := range all {
		if c := w.of(s); s.revision == rev && c.fails >= failsInRow {
			return fmt.Sprintf("instance %d does not answer its health check: %s", s.index, c.why)
		}
	}
	return ""
}

func (w *watch) allFail(all []sharer, rev towpath.RevisionID) bool {
	found := false
	for _, s := range all {
		if s.revision != rev {
			continue
		}
		if w.of(s).fails == 0 {
			return false
		}
		found = true
	}
	return found
}

// of is what is known of a sharer.
func (w *watch) of(s sharer) *checked {
	if c := w.known[s.id]; c != nil && c.start == s.start {
		return c
	}
	return &checked{start: s.start}
}

// ask begins to check those whose turn it is, whoever was not asked for longest
// first, and forgets what shares no more. Each is asked once at a time.
func (r *Runner) ask(ctx context.Context, all []sharer) {
	w, now := &r.watch, r.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	known := make(map[string]*checked, len(all))
	for _, s := range all {
		known[s.id] = w.of(s)
	}
	w.known = known
	slices.SortStableFunc(all, func(a, b sharer) int { return known[a.id].asked.Compare(known[b.id].asked) })
	for _, s := range all {
		c := known[s.id]
		if c.underWay || now.Sub(c.asked) < s.spec.Health.Interval || w.underWay == maxWatched {
			continue
		}
		c.asked, c.underWay = now, true
		w.underWay++
		go r.checkOne(context.WithoutCancel(ctx), s, c) // ends in the time of a health check
	}
}

// checkOne asks one instance.
func (r *Runner) checkOne(ctx context.Context, s sharer, c *checked) {
	err := r.healthy(ctx, s.address, s.spec)
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	r.watch.underWay--
	c.underWay = false
	if err == nil {
		c.fails, c.why = 0, ""
		return
	}
	c.fails, c.why = c.fails+1, unanswered(err, s.spec.Health)
}

// unanswered is what a health check failed with, for people.
func unanswered(err error, h process.Health) string {
	what, asked := "GET "+h.Path, new(url.Error)
	if h.GRPC {
		what = "gRPC's health check"
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s was not answered within %s", what, h.Timeout)
	case errors.As(err, &asked):
		return fmt.Sprintf("%s: %v", what, asked.Err)
	default:
		return err.Error()
	}
}
