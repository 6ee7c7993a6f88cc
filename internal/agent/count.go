package agent

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// countNow has the counting loop look at once: a target's traffic is shared.
func (a *Agent) countNow() {
	select {
	case a.count <- struct{}{}:
	default:
	}
}

// countLoop tells the server what was counted of targets whose traffic is
// shared, every second for as long as there is one. It begins by looking,
// because a rollout may have been under way when the agent was started. A count
// that was not delivered is no loss: the next one has it in it.
func (a *Agent) countLoop(ctx context.Context) error {
	t := time.NewTicker(a.cfg.CountEvery)
	defer t.Stop()
	for {
		tick := t.C
		if !a.countOnce(ctx) {
			tick = nil // until somebody shifts traffic
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick:
		case <-a.count:
			t.Reset(a.cfg.CountEvery)
		}
	}
}

// countOnce reports whether there is something to count.
func (a *Agent) countOnce(ctx context.Context) (more bool) {
	var all []towpath.TrafficCount
	for _, r := range a.runners {
		s, ok := r.(kind.Shifter)
		if !ok {
			continue
		}
		counts, err := s.Counts(ctx)
		switch {
		case towpath.KindOf(err) == towpath.KindUnavailable: // no router: nothing has traffic yet
		case err != nil:
			more = true
			if ctx.Err() == nil {
				a.log.WarnContext(ctx, "traffic could not be counted", "kind", r.Kind(), "error", err)
			}
		default:
			all = append(all, counts...)
		}
	}
	a.shared.Store(len(all) > 0)
	if len(all) == 0 {
		return more
	}
	if a.connected.Load() {
		err := a.client.Count(ctx, agentrpc.CountRequest{Session: a.session, Counts: all})
		if err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "counts not delivered; the next ones have them in them", "error", err)
		}
	}
	return true
}
