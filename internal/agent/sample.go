package agent

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
)

// sampleLoop tells the server metrics of what runs, as often as it wants them,
// and as often as traffic is counted while that is shared. What was not
// delivered is lost: it would be old by the time that it is.
func (a *Agent) sampleLoop(ctx context.Context) error {
	t := time.NewTicker(a.cfg.CountEvery)
	defer t.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-t.C:
			every := time.Duration(a.sample.Load())
			if every == 0 || !a.connected.Load() || now.Sub(last) < every-a.cfg.CountEvery/2 && !a.shared.Load() {
				continue
			}
			last = now
			a.sampleOnce(ctx)
		}
	}
}

// sampleOnce sends the metrics of each target by itself, so that a message stays
// small.
func (a *Agent) sampleOnce(ctx context.Context) {
	for _, r := range a.runners {
		s, ok := r.(kind.Sampler)
		if !ok {
			continue
		}
		sets, err := s.Samples(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "metrics could not be sampled", "kind", r.Kind(), "error", err)
		}
		for i := range sets {
			if err := a.client.Sample(ctx, agentrpc.SampleRequest{Session: a.session, Sets: sets[i : i+1]}); err != nil {
				if ctx.Err() == nil {
					a.log.WarnContext(ctx, "metrics not delivered", "error", err)
				}
				return
			}
		}
	}
}
