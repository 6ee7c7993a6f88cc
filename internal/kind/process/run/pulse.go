package run

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/route"
)

// Bounds of leaving an instance out of what has traffic; see also [failsInRow].
const (
	answersInRow = 2           // after which one that is out comes back
	answerPause  = time.Second // answers that come sooner after one that counted don't count
	// pulseTimeout is how long an answer may take, besides the health check's own
	// limit: what a look finds of all components waits for it.
	pulseTimeout = 5 * time.Second
)

// pulses are how the instances of what has traffic answer the health checks of
// [Runner.Observe], by target.
type pulses struct {
	mu    sync.Mutex
	known map[string]map[string]streak // by instance
}

// streak is how one start of an instance answered, in a row.
type streak struct {
	start     int
	at        time.Time // of the last answer that counted
	bad, good int       // one of them is 0
}

// answered is an answer of an instance that runs.
type answered struct {
	id, address  string
	env          []string // that it was started with
	start, index int
	err          error // nil: it is healthy
}

// why is what it failed with, or that it failed before.
func (a answered) why(h process.Health) string {
	if a.err == nil {
		return "it has answered its health check again once"
	}
	return unanswered(a.err, h)
}

// askAll asks all of some instances, whatever some of them take.
func (r *Runner) askAll(ctx context.Context, all []answered, spec process.Spec) {
	var g errgroup.Group
	g.SetLimit(maxWatched)
	for i := range all {
		g.Go(func() error {
			all[i].err = r.healthy(ctx, all[i].address, spec)
			return nil
		})
	}
	_ = g.Wait() // what failed is with each
}

// note takes the answers of all instances of a target that run.
func (p *pulses) note(target string, all []answered, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := make(map[string]streak, len(all))
	for _, x := range all {
		s := p.known[target][x.id]
		if s.start != x.start {
			s = streak{start: x.start}
		}
		switch {
		case now.Sub(s.at) < answerPause:
		case x.err == nil:
			s.at, s.good, s.bad = now, s.good+1, 0
		default:
			s.at, s.good, s.bad = now, 0, s.bad+1
		}
		next[x.id] = s
	}
	if p.known == nil {
		p.known = map[string]map[string]streak{}
	}
	p.known[target] = next
}

// out are those of a target's instances that get no new requests, now that some
// are out: who failed three checks in a row, until it answers two. When that is
// all of them it is none: nobody else could answer in their place.
func (p *pulses) out(target string, instances []route.Instance, now []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []string{} // in JSON a list that is nil says that nothing changes
	for _, in := range instances {
		s := p.known[target][in.ID]
		if s.bad >= failsInRow || s.good < answersInRow && slices.Contains(now, in.ID) {
			out = append(out, in.ID)
		}
	}
	if len(out) == len(instances) {
		return []string{}
	}
	return out
}

// forget drops what is known of the targets that are not there any more.
func (p *pulses) forget(targets []*target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.known, func(key string, _ map[string]streak) bool {
		return !slices.ContainsFunc(targets, func(t *target) bool { return t.Target.Key() == key })
	})
}
