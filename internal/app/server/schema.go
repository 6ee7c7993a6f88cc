package server

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// awaitOlder waits until no other server lives on a schema that is about to be
// upgraded: it would go on writing rows as they were. One that was stopped, or
// died, seems to live for a while.
func (s *Server) awaitOlder(ctx context.Context) error {
	const waits, pause = 20, lease / 10 // twice as long as a sign of life is believed
	for n := 0; ; n++ {
		others, err := s.schema.Older(ctx, s.cfg.Now())
		if err != nil || others == 0 {
			return err
		}
		if n == waits {
			return towpath.E(towpath.KindConflict, "server.start", "the database has to be upgraded, and older servers (%d) run on it", others).
				WithHint("stop all servers of this database, then start the new version")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// watchSchema looks whether a newer server has upgraded the database, and says
// so once.
func (s *Server) watchSchema(overtaken func(error)) func(context.Context) error {
	return reconcile.NewLoop(reconcile.LoopConfig{Name: "schema", Interval: lease / 3, Now: s.cfg.Now, Log: s.cfg.Log},
		func(ctx context.Context, _ time.Time) (bool, error) {
			err := s.schema.Overtaken(ctx)
			if towpath.KindOf(err) == towpath.KindConflict {
				overtaken(err)
				return false, nil
			}
			return false, err
		}).Run
}
