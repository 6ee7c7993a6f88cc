package server

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// epoch is the epoch that the server works in: the next one when it is told
// that the database was restored. Nothing has been claimed in it yet.
func (s *Server) epoch(ctx context.Context) (ledger.Epoch, error) {
	if s.cfg.Restored == "" {
		return s.ledger.Epoch(ctx)
	}
	ev := towpath.NewEvent(s.cfg.Now(), string(owner().Account), "ledger.restored")
	ev.Reason = s.cfg.Restored
	e, err := s.ledger.BumpEpoch(ctx, ev)
	if err == nil {
		s.cfg.Log.WarnContext(ctx, "the database was restored: the ledger goes on from there", "epoch", e.Number, "entries", e.Size, "reason", e.Reason)
	}
	return e, err
}

// checkLedger fails when the ledger is not signed, or events wait too long for
// their number.
func (s *Server) checkLedger(ctx context.Context) error {
	if err := s.ledger.Refused(); err != nil {
		return err
	}
	w, err := s.ledger.Unsequenced(ctx, s.cfg.Now())
	if err == nil && w.Age > time.Minute {
		err = towpath.E(towpath.KindUnavailable, "ledger.window", "%d events have waited up to %s for their number", w.Events, w.Age.Round(time.Second)).
			WithHint("look for errors of the sequencer in the log")
	}
	return err
}
