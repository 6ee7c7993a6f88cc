package deploy

import (
	"context"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Greeting is what an agent says when it opens a session, or comes back to it.
type Greeting struct {
	Place   towpath.PlaceName
	Agent   string // its machine
	Session string // ID of the process
	Fences  map[towpath.Target]int64
	Holds   []towpath.OperationID // what it has claimed and not yet ended
}

// works reports whether an actor may work as an agent on a target.
func works(actor towpath.Actor, t towpath.Target) bool { return mayWork(actor, t) == nil }

func mayWork(actor towpath.Actor, t towpath.Target) error {
	return access.Check(actor, access.AgentWork, access.Subject{Project: t.Project, Environment: t.Environment, Place: t.Place})
}

// Hello opens a session of an agent in a place. It ends the session of before:
// what that one was working on may be claimed at once, and so may what this
// one had claimed and never heard of, because the answer was lost. Fences
// higher than the server's own, which a restored database has lost, raise them, if
// a server can have given them out.
func (s *Service) Hello(ctx context.Context, actor towpath.Actor, g Greeting) (epoch int64, err error) {
	place, agent := g.Place, g.Agent
	if err := access.Check(actor, access.AgentWork, access.Subject{Place: place}); err != nil {
		return 0, err
	}
	now := s.cfg.Now()
	ev := towpath.NewEvent(now, string(actor.Account), "agent.connected")
	ev.Subject, ev.RequestID = string(place)+"/"+agent, actor.RequestID
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		have, ok, err := tx.Session(ctx, place)
		if err != nil {
			return err
		}
		if ok && have.Agent != agent && now.Sub(have.Seen) < 2*s.cfg.Lease {
			return towpath.E(towpath.KindLocked, "agent.hello", "agent %s runs things in place %s already", have.Agent, place).
				WithHint("one agent serves a place; stop the other one, or wait %s after its last sign of life", 2*s.cfg.Lease)
		}
		for target, fence := range g.Fences {
			if target.Place != place || !works(actor, target) {
				continue
			}
			if fence > maxTold {
				s.cfg.Log.WarnContext(ctx, "an agent says a fence that nobody gave out; it is not taken", "account", actor.Account,
					"place", place, "agent", agent, "target", target.Key(), "fence", fence)
				continue
			}
			if _, err := tx.NextFence(ctx, target, fence); err != nil && towpath.KindOf(err) != towpath.KindExhausted {
				return err
			}
		}
		if err := tx.SaveSession(ctx, Session{Place: place, Agent: agent, ID: g.Session, Seen: now}); err != nil {
			return err
		}
		if err := s.offerAgain(ctx, tx, actor, g, now); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
	return s.cfg.Epoch, err
}

// offerAgain ends the leases of what a session has claimed and does not hold.
func (s *Service) offerAgain(ctx context.Context, tx Tx, actor towpath.Actor, g Greeting, now time.Time) error {
	leased, err := tx.Leased(ctx, g.Place, g.Session)
	if err != nil {
		return err
	}
	for _, op := range leased {
		if slices.Contains(g.Holds, op.ID) || !works(actor, op.Target) {
			continue
		}
		op.LeaseUntil = now
		if err := tx.SaveOperation(ctx, op); err != nil {
			return err
		}
		s.wake(ctx, tx, g.Place)
	}
	return nil
}

// alive finds the place of a session, which must be its current one, checks
// that the actor may work there and records a sign of life.
func (s *Service) alive(ctx context.Context, tx Tx, actor towpath.Actor, session string, now time.Time) (towpath.PlaceName, error) {
	place, ok, err := tx.TouchSession(ctx, session, now)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", towpath.E(towpath.KindLocked, "agent.session", "this session of the agent has been replaced").
			WithHint("say hello again")
	}
	return place, access.Check(actor, access.AgentWork, access.Subject{Place: place})
}

// Renewal is what an agent asks and hears about one operation it works on.
type Renewal struct {
	Operation towpath.OperationID
	Fence     int64
	Go        bool // false: stop, it was withdrawn or somebody else has it
	Until     time.Time
}

// Renew keeps the leases of operations; one that is not to be worked on any
// more comes back with Go false.
func (s *Service) Renew(ctx context.Context, actor towpath.Actor, session string, held []Renewal) ([]Renewal, error) {
	now := s.cfg.Now()
	out := make([]Renewal, len(held))
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		place, err := s.alive(ctx, tx, actor, session, now)
		if err != nil {
			return err
		}
		for i, h := range held {
			op, err := tx.LockOperation(ctx, h.Operation)
			if err != nil && towpath.KindOf(err) != towpath.KindNotFound {
				return err
			}
			out[i] = Renewal{Operation: h.Operation, Fence: h.Fence}
			if err != nil || op.Phase != towpath.OperationRunning || op.Fence != h.Fence || op.Target.Place != place || !works(actor, op.Target) {
				continue
			}
			op.Lease, op.LeaseUntil = session, now.Add(s.cfg.Lease)
			out[i].Go, out[i].Until = true, op.LeaseUntil
			if err := tx.SaveOperation(ctx, op); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Report keeps the last that an agent says about an operation under way. A report
// under an old fence changes nothing.
func (s *Service) Report(ctx context.Context, actor towpath.Actor, id towpath.OperationID, fence int64, message string) error {
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		op, err := tx.LockOperation(ctx, id)
		if err != nil {
			return err
		}
		if err := mayWork(actor, op.Target); err != nil {
			return err
		}
		if op.Fence != fence || op.Phase != towpath.OperationRunning {
			return nil
		}
		op.Said = message
		return tx.SaveOperation(ctx, op)
	})
}

// Finish takes the end of an operation. One under an old fence changes nothing,
// and is not accepted; an accepted one may be repeated.
func (s *Service) Finish(ctx context.Context, actor towpath.Actor, id towpath.OperationID, fence int64, result towpath.OperationResult) (accepted bool, err error) {
	now := s.cfg.Now()
	ev := towpath.NewEvent(now, string(actor.Account), "operation.finished")
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		accepted = false
		op, err := tx.LockOperation(ctx, id)
		if err != nil {
			return err
		}
		if err := mayWork(actor, op.Target); err != nil {
			return err
		}
		if op.Fence != fence || op.Phase != towpath.OperationRunning { // the same end again, whose answer was lost, was accepted
			accepted = op.Fence == fence && op.Result != nil && op.Result.Status == result.Status
			return nil
		}
		accepted = true
		ev := ev
		ev.Project, ev.Environment, ev.Subject = op.Target.Project, op.Target.Environment, string(id)
		ev.Release, ev.Reason = op.Spec.Release, string(op.Verb)+" of "+string(op.Target.Component)+": "+string(result.Status)
		return s.finish(ctx, tx, op, result, ev, now)
	})
	failpoint.Hit("operation.finished")
	return accepted, err
}

func (s *Service) finish(ctx context.Context, tx Tx, op towpath.Operation, result towpath.OperationResult, ev towpath.Event, now time.Time) error {
	if op.Verb == towpath.VerbPlan && result.Status == towpath.ResultDone && result.Plan == nil {
		result = towpath.OperationResult{Status: towpath.ResultError, Message: "the agent sent no plan; it is asked again"}
	}
	trigger, known := map[towpath.ResultStatus]towpath.OperationTrigger{
		towpath.ResultDone: towpath.TriggerDone, towpath.ResultFailed: towpath.TriggerBad,
		towpath.ResultError: towpath.TriggerRetry, towpath.ResultStale: towpath.TriggerStale,
		towpath.ResultUnknown: towpath.TriggerUnknown,
	}[result.Status]
	if !known {
		return towpath.E(towpath.KindInvalid, "agent.finish", "%q is no way for an operation to end", result.Status)
	}
	phase, err := towpath.OperationTransitions().Next("operation", op.Phase, trigger)
	if err != nil {
		return err
	}
	op.Phase, op.Result, op.Said, op.Lease, op.LeaseUntil = phase, &result, "", "", time.Time{}
	if trigger == towpath.TriggerRetry {
		op.Attempt++
		op.RunAfter = now.Add(backoff(op.Attempt))
	} else {
		op.EndedAt = now
	}
	if err := tx.SaveOperation(ctx, op); err != nil {
		return err
	}
	s.wake(ctx, tx, op.Target.Place) // what waits for the target may go on
	if op.Again {
		if trigger == towpath.TriggerRetry {
			return nil
		}
		return s.verifiedAgain(ctx, tx, op, now)
	}
	if op.Deployment == "" { // a plan: no effect to record
		return tx.Enqueue(ctx, WorkPromotion, string(op.Promotion), now)
	}
	switch phase {
	case towpath.OperationSucceeded:
		err = s.tookEffect(ctx, tx, op)
	case towpath.OperationStale:
		err = s.correct(ctx, tx, op, result)
	}
	if err != nil {
		return err
	}
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkDeployment, string(op.Deployment), now)
}

// tookEffect notes what a target was switched to.
func (s *Service) tookEffect(ctx context.Context, tx Tx, op towpath.Operation) error {
	r := rollout.Running{
		Component: op.Target.Component, Kind: op.Spec.Kind, Place: op.Target.Place, Release: op.Spec.Release,
		Revision: op.Spec.Revision, Layer: op.Spec.Layer, Size: op.Spec.Size, Rendered: op.Spec.Rendered,
		Timeout: op.Spec.Timeout, Unsure: true,
	}
	switch op.Verb {
	case towpath.VerbSwitch, towpath.VerbRestore, towpath.VerbRepair:
	case towpath.VerbRemove:
		r = rollout.Running{Component: r.Component, Kind: r.Kind, Place: r.Place, Timeout: r.Timeout, Unsure: true}
	default:
		return nil
	}
	return tx.SaveRunning(ctx, op.Target, r)
}

// correct takes from a stale result what really runs, so that the next plan
// has the right base. A revision that no release of this environment has is
// left to people: a rollback replaces it. What a release holds that can't be read
// for the moment is asked for again, if no other has the revision; one that is lost
// is passed over, or the result would never be taken.
func (s *Service) correct(ctx context.Context, tx Tx, op towpath.Operation, result towpath.OperationResult) error {
	revision := towpath.RevisionID(result.Outputs["running"])
	running, err := tx.Running(ctx, op.Target.Project, op.Target.Environment)
	if err != nil {
		return err
	}
	r, known := find(running, op.Target.Component)
	if !known || revision == "" || revision == r.Revision {
		return nil
	}
	runs, err := tx.Runs(ctx, op.Target.Project, op.Target.Environment, keepRuns)
	if err != nil {
		return err
	}
	var away error
	seen := map[towpath.Digest]bool{}
	for _, run := range runs {
		if seen[run.Release] {
			continue
		}
		seen[run.Release] = true
		content, err := s.contents.Content(ctx, run.Project, run.Release)
		if err != nil {
			s.cfg.Log.WarnContext(ctx, "a release can't be read; whether it is what runs is not known", "project", run.Project,
				"environment", run.Environment, "release", run.Release, "error", err)
			if towpath.KindOf(err) == towpath.KindUnavailable || ctx.Err() != nil {
				away = err
			}
			continue
		}
		c, _ := content.Component(r.Component)
		env, _ := content.Environment(run.Environment)
		rendered, ok := env.Component(r.Component)
		if !ok || rendered.Revision != revision {
			continue
		}
		r.Release, r.Revision, r.Layer, r.Size, r.Rendered = run.Release, revision, c.Layer, c.Size, rendered.Spec
		r.Unsure = true
		return tx.SaveRunning(ctx, op.Target, r)
	}
	return away
}

// Observe keeps what an agent saw of what was deployed to its place, and compares
// it with that. An agent speaks for what it may work on, and for nothing else.
func (s *Service) Observe(ctx context.Context, actor towpath.Actor, session string, seen []towpath.Observation) error {
	now := s.cfg.Now()
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		place, err := s.alive(ctx, tx, actor, session, now)
		if err != nil {
			return err
		}
		here, err := tx.Placed(ctx, place)
		if err != nil {
			return err
		}
		here = slices.DeleteFunc(here, func(p Placed) bool { return !works(actor, p.Target) })
		observed := make(map[towpath.Target]*towpath.Observation, len(here))
		for _, p := range here {
			observed[p.Target] = nil
		}
		for _, o := range seen {
			if _, mine := observed[o.Target]; !mine {
				continue
			}
			o.At = now
			if err := tx.SaveObservation(ctx, o); err != nil {
				return err
			}
			observed[o.Target] = &o
		}
		return s.compare(ctx, tx, here, observed, now)
	})
}

// wake tells waiting agents, once the transaction has committed, that there
// is something to do in their place.
func (s *Service) wake(_ context.Context, tx Tx, place towpath.PlaceName) {
	tx.AfterCommit(func() { s.cfg.Claimable(place) })
}
