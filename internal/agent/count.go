package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// countNow has the counting loop look at once: a target's traffic is shared, or
// about to be.
func (a *Agent) countNow() { kick(a.count) }

// counted is what the counting loop remembers of a target.
type counted struct {
	past    past
	sharing string    // the revisions that share its traffic; empty: none do
	since   time.Time // they do
	told    bool      // the server was told of the time before
}

// add takes the newest count. Other revisions than before are another rollout.
func (c *counted) add(x kind.Count) {
	c.past = c.past.add(x.TrafficCount)
	sharing := ""
	if x.Shared {
		for _, r := range x.Revisions {
			sharing += string(r.Revision) + " "
		}
	}
	if sharing != c.sharing {
		c.sharing, c.since, c.told = sharing, x.At, false
	}
}

// countLoop looks every second at what was counted, remembers it, and tells the
// server of targets whose traffic is shared. It begins by looking, because a
// rollout may have been under way when the agent was started. A count that was
// not delivered is no loss: the next one has it in it.
func (a *Agent) countLoop(ctx context.Context) error {
	t := time.NewTicker(a.cfg.CountEvery)
	defer t.Stop()
	known := map[string]*counted{}
	for {
		a.countOnce(ctx, known)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		case <-a.count:
			t.Reset(a.cfg.CountEvery)
		}
	}
}

// countOnce counts, remembers and tells. What is missing of a whole has gone.
func (a *Agent) countOnce(ctx context.Context, known map[string]*counted) {
	all, whole := a.counts(ctx)
	if whole {
		maps.DeleteFunc(known, func(key string, _ *counted) bool {
			return !slices.ContainsFunc(all, func(x kind.Count) bool { return x.Target.Key() == key })
		})
	}
	var rest []towpath.TrafficCount
	shared := false
	for _, x := range all {
		key := x.Target.Key()
		if known[key] == nil {
			known[key] = &counted{}
		}
		c := known[key]
		c.add(x)
		shared = shared || x.Shared
		switch {
		case !x.Shared, !a.connected.Load():
		case c.told:
			rest = append(rest, x.TrafficCount)
		default:
			c.told = a.sendCounts(ctx, append(c.past.before(c.since), x.TrafficCount)...)
		}
	}
	a.shared.Store(shared || !whole && a.shared.Load())
	if len(rest) > 0 {
		a.sendCounts(ctx, rest...)
	}
}

// sendCounts reports whether the server was told counts.
func (a *Agent) sendCounts(ctx context.Context, counts ...towpath.TrafficCount) bool {
	err := a.client.Count(ctx, agentrpc.CountRequest{Session: a.session, Counts: counts})
	if err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "counts not delivered; the next ones have them in them", "error", err)
	}
	return err == nil
}

// counts are what was counted of all targets; not whole when something could not
// be.
func (a *Agent) counts(ctx context.Context) (all []kind.Count, whole bool) {
	whole = true
	for _, r := range a.runners {
		s, ok := r.(kind.Shifter)
		if !ok {
			continue
		}
		counts, err := s.Counts(ctx)
		switch {
		case towpath.KindOf(err) == towpath.KindUnavailable: // no router: nothing has traffic yet, or it is away
			whole = false
		case err != nil:
			whole = false
			if ctx.Err() == nil {
				a.log.WarnContext(ctx, "traffic could not be counted", "kind", r.Kind(), "error", err)
			}
		}
		all = append(all, counts...) // what could be
	}
	return all, whole
}
