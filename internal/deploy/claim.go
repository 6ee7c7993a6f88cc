package deploy

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/towpath"
)

// A fence is the database's epoch with epochBits for a count behind it: a restore,
// which begins the next epoch, leaves every fence of before it behind.
const epochBits = 40

// maxTold is the highest fence that an agent is believed to have seen: what comes
// after it is of an epoch that four million restores begin. It may be far above the
// server's own epoch, whose database was restored without anybody saying so; and as
// many fences as there are below it are left above, so that whoever says this one
// takes none away.
const maxTold = 1 << 62

// fencePause is how long what can't be given out is left alone.
const fencePause = time.Minute

// Claim gives a session, which serves a place, what it may work on now, oldest
// first, each under a fence higher than any before it on that target. What the
// actor may not work on waits for somebody else; what no fence is left for keeps
// nothing else waiting.
func (s *Service) Claim(ctx context.Context, actor towpath.Actor, session string, limit int) (place towpath.PlaceName, out []towpath.Operation, err error) {
	now := s.cfg.Now()
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		if place, err = s.alive(ctx, tx, actor, session, now); err != nil {
			return err
		}
		ops, err := tx.Claimable(ctx, place, access.Within(actor, access.AgentWork, place), session, now, limit)
		if err != nil {
			return err
		}
		taken := map[string]bool{}
		for _, op := range ops {
			if taken[op.Target.Key()] || !works(actor, op.Target) {
				continue
			}
			taken[op.Target.Key()] = true
			fence, err := tx.NextFence(ctx, op.Target, s.cfg.Epoch<<epochBits+1)
			if towpath.KindOf(err) == towpath.KindExhausted {
				if err := s.putOff(ctx, tx, op, session, err, now); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return err
			}
			if op.Phase, err = towpath.OperationTransitions().Next("operation", op.Phase, towpath.TriggerClaim); err != nil {
				return err
			}
			op.Fence, op.Lease, op.LeaseUntil, op.Said = fence, session, now.Add(s.cfg.Lease), ""
			if op.BeganAt.IsZero() {
				op.BeganAt = now
			}
			if err := tx.SaveOperation(ctx, op); err != nil {
				return err
			}
			out = append(out, op)
		}
		return nil
	})
	failpoint.Hit("operation.claimed")
	return place, out, err
}

// putOff leaves an operation alone for a while that can't be given out, and says why.
func (s *Service) putOff(ctx context.Context, tx Tx, op towpath.Operation, session string, why error, now time.Time) error {
	s.cfg.Log.ErrorContext(ctx, "an operation can't be given to an agent", "operation", op.ID, "target", op.Target.Key(), "error", why)
	until := now.Add(fencePause)
	op.Said, _ = towpath.PublicMessage(why)
	if op.Phase == towpath.OperationRunning { // whoever still works on it may end it
		op.Lease, op.LeaseUntil = session, until
	} else {
		op.RunAfter = until
	}
	return tx.SaveOperation(ctx, op)
}
