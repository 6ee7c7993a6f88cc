package run

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// Halt ends every instance and keeps what is known of them, so that the next
// [Runner.Keep] starts again what has traffic. Nothing else may be at work in
// the runner's folder.
func (r *Runner) Halt(ctx context.Context) error {
	targets, unread := r.allTargets()
	g, gctx := errgroup.WithContext(ctx)
	for _, rec := range targets {
		for _, rev := range rec.others("") {
			for _, id := range rec.every(rev) {
				g.Go(func() error { return r.halt(gctx, id) })
			}
		}
	}
	return errors.Join(g.Wait(), unread)
}

func (r *Runner) halt(ctx context.Context, id string) error {
	in, err := r.look(id)
	if err != nil || in.life != running {
		return err
	}
	return r.endShim(ctx, id, in.spec.StopGrace+shimGrace)
}
