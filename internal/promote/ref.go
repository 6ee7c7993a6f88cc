package promote

import (
	"context"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Refs is the loop that projects environments into git: the database is the
// truth, refs follow it.
type Refs struct{ *Service }

// Kind is the kind of work of the loop.
func (Refs) Kind() string { return WorkRef }

// refRetry is how often a move that something stands in the way of is tried.
const refRetry = 15 * time.Second

// Reconcile makes the newest journalled move of an environment: it writes down
// what git will be asked to do, asks, and writes down that it is done. Killed
// in between, it asks for the same again.
func (l Refs) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	project, name, _ := strings.Cut(key, "/")
	var m towpath.RefMove
	var merges map[towpath.CommitID]bool
	pending := false
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var ok bool
		var err error
		m, ok, err = tx.RefMove(ctx, towpath.ProjectName(project), towpath.EnvironmentName(name))
		pending = ok && m.State == towpath.RefPending
		if err != nil {
			return err
		}
		merges, err = tx.RecordedMerges(ctx, m.Project)
		return err
	})
	if err != nil || !pending {
		return reconcile.Done(), err
	}
	has, err := l.repos.Has(ctx, m.Project)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !has {
		m.State, m.Pending = towpath.RefDone, "the project has no repository that the server can write"
		return reconcile.Done(), l.save(ctx, m, "", now)
	}
	if err := l.repos.SetEnvironmentRef(ctx, m); err != nil {
		return l.blocked(ctx, m, err, now)
	}
	failpoint.Hit("ref.environment-moved")
	if m.Branch == "" {
		m.State, m.Pending = towpath.RefDone, ""
		return reconcile.Done(), l.save(ctx, m, "ref.moved", now)
	}
	return l.advance(ctx, m, merges, now)
}

func (l Refs) advance(ctx context.Context, m towpath.RefMove, merges map[towpath.CommitID]bool, now time.Time) (reconcile.Result, error) {
	if len(m.Plan) == 0 {
		plan, merge, err := l.repos.PlanAdvance(ctx, m, func(c towpath.CommitID) bool { return merges[c] })
		if err != nil {
			return l.blocked(ctx, m, err, now)
		}
		m.Plan = plan
		err = l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			if merge != "" {
				if err := tx.RecordMerge(ctx, m.Project, merge, now.UnixMicro()); err != nil {
					return err
				}
			}
			return tx.SaveRefMove(ctx, m)
		})
		if err != nil {
			return reconcile.Result{}, err
		}
		failpoint.Hit("ref.planned")
	}
	if err := l.repos.Advance(ctx, m); err != nil {
		m.Plan = nil // the branch may have moved: plan anew
		return l.blocked(ctx, m, err, now)
	}
	failpoint.Hit("ref.branch-moved")
	m.State, m.Pending = towpath.RefDone, ""
	return reconcile.Done(), l.save(ctx, m, "branch.advanced", now)
}

// blocked keeps why a move can't be made yet, and tries again.
func (l Refs) blocked(ctx context.Context, m towpath.RefMove, cause error, now time.Time) (reconcile.Result, error) {
	message, hint := towpath.PublicMessage(cause)
	if hint != "" {
		message += "; " + hint
	}
	if ctx.Err() != nil {
		return reconcile.Result{}, ctx.Err()
	}
	action := "branch.blocked"
	if m.Pending == message {
		action = ""
	}
	m.Pending = message
	return reconcile.After(refRetry), l.save(ctx, m, action, now)
}

func (l Refs) save(ctx context.Context, m towpath.RefMove, action string, now time.Time) error {
	ev := towpath.NewEvent(now, string(towpath.System().Account), action)
	ev.Project, ev.Environment, ev.Subject, ev.Reason = m.Project, m.Environment, m.Branch, m.Pending
	if m.Pending == "" {
		ev.Reason = string(m.Commit)
	}
	return l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.SaveRefMove(ctx, m); err != nil || action == "" {
			return err
		}
		return tx.Record(ctx, ev)
	})
}
