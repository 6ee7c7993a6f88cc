package promote

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// recheck is how often a promotion that waits is judged again although
// nothing woke it: git and clocks change without an event.
const recheck = 20 * time.Second

// Promotions is the loop over promotions.
type Promotions struct{ *Service }

// Kind is the kind of work of the loop.
func (Promotions) Kind() string { return WorkPromotion }

// Reconcile takes a promotion one step further: plan it, judge it, hand it to
// a deployment, take the deployment's end.
func (l Promotions) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	var p towpath.Promotion
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		p, err = tx.Promotion(ctx, towpath.PromotionID(key))
		return err
	})
	if towpath.KindOf(err) == towpath.KindNotFound { // the plan operations of a preview
		return reconcile.Done(), nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	switch p.Phase {
	case towpath.PromotionPlanning:
		result, err := l.plan(ctx, p, now)
		return result, l.noted(ctx, p.ID, err, now)
	case towpath.PromotionWaiting:
		result, err := l.judge(ctx, p, now)
		return result, l.noted(ctx, p.ID, err, now)
	case towpath.PromotionDeploying:
		return l.follow(ctx, p, now)
	}
	return reconcile.Done(), nil
}

// noted says of a promotion what keeps it where it is, if somebody can do something
// about that, and returns the error.
func (l Promotions) noted(ctx context.Context, id towpath.PromotionID, err error, now time.Time) error {
	message, hint := towpath.PublicMessage(err)
	if known := (*towpath.Error)(nil); !errors.As(err, &known) || hint == "" {
		return err
	}
	return errors.Join(err, l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		p, err := tx.LockPromotion(ctx, id)
		if err != nil || p.Phase != towpath.PromotionPlanning && p.Phase != towpath.PromotionWaiting {
			return err
		}
		return l.pause(ctx, tx, p, message+"; "+hint, now)
	}))
}

// plan asks the agents what would change, and waits for their answers.
func (l Promotions) plan(ctx context.Context, p towpath.Promotion, now time.Time) (reconcile.Result, error) {
	content, err := l.contents.Content(ctx, p.Project, p.Release)
	if err != nil {
		return reconcile.Result{}, err
	}
	err = l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		p, err := tx.LockPromotion(ctx, p.ID)
		if err != nil || p.Phase != towpath.PromotionPlanning {
			return err
		}
		env, err := tx.Environment(ctx, p.Project, p.Environment)
		if err != nil {
			return err
		}
		if why, hint := closed(env); why != "" {
			return l.pause(ctx, tx, p, why+"; "+hint, now)
		}
		running, err := tx.Running(ctx, p.Project, p.Environment)
		if err != nil {
			return err
		}
		want, err := planOperations(p.ID, env, p.Release, content, running, now)
		if err != nil {
			m, hint := towpath.PublicMessage(err)
			if hint != "" {
				m += "; " + hint
			}
			return l.move(ctx, tx, &p, towpath.TriggerDeny, m, now)
		}
		have, err := l.askForPlan(ctx, tx, p.ID, want)
		if err != nil {
			return err
		}
		plan, done, failed := planned(env.Release, want, have, now)
		switch {
		case failed != "":
			return l.move(ctx, tx, &p, towpath.TriggerFail, failed, now)
		case done:
			p.Plan = plan
			return l.move(ctx, tx, &p, towpath.TriggerPlanned, "the plan is known; the gates judge", now)
		}
		reason, err := absent(ctx, tx, env.Rules.Place, now)
		if err == nil && reason == "" {
			reason, err = barred(ctx, tx, env)
		}
		if err != nil {
			return err
		}
		if reason == "" {
			reason = "the agent computes what would change"
		}
		return l.pause(ctx, tx, p, reason, now)
	})
	failpoint.Hit("promotion.planned")
	return reconcile.After(recheck), err
}

// pause says what a promotion waits for before it is judged.
func (l Promotions) pause(ctx context.Context, tx Tx, p towpath.Promotion, reason string, now time.Time) error {
	if reason == p.Reason {
		return nil
	}
	p.Reason, p.UpdatedAt = reason, now
	return tx.SavePromotion(ctx, p)
}

// judge asks the gates and records what they say whichever way they go. What
// all allow is deployed, once it is the first in the queue.
func (l Promotions) judge(ctx context.Context, p towpath.Promotion, now time.Time) (reconcile.Result, error) {
	keys, err := l.keys(ctx) // before what they verify
	if err != nil {
		return reconcile.Result{}, err
	}
	in, err := l.evidence(ctx, p, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := l.askForCopies(ctx, in); err != nil {
		return reconcile.Result{}, err
	}
	proof, err := l.proof(ctx, in)
	if err != nil {
		return reconcile.Result{}, err
	}
	id := towpath.NewID[towpath.DeploymentID]("dep", now)
	verdicts := gate.Judge(in)
	outcome := gate.Summarise(verdicts)
	failpoint.Hit("promotion.before-verdicts")
	after := recheck
	for _, v := range verdicts {
		if v.Outcome == towpath.Wait && !v.Until.IsZero() {
			after = min(after, max(v.Until.Sub(now), 0)+time.Millisecond)
		}
	}
	err = l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.LockEnvironment(ctx, p.Project, p.Environment)
		if err != nil {
			return err
		}
		fresh, err := tx.LockPromotion(ctx, p.ID)
		if err != nil || fresh.Phase != towpath.PromotionWaiting {
			return err
		}
		q, err := tx.Quarantine(ctx, p.Project, p.Release) // who quarantines holds the environment too
		if err != nil {
			return err
		}
		if fresh.Rev != p.Rev || len(fresh.Approvals) != len(p.Approvals) || env.PolicyVersion != in.Environment.PolicyVersion || (q == nil) != (in.Quarantine == nil) {
			after = 0 // judged on old evidence: again
			return nil
		}
		stands, err := l.stands(ctx, tx, fresh, in, keys, outcome)
		if err != nil {
			return err
		}
		if !stands {
			after = 0
			return nil
		}
		p := fresh
		judged := changed(p.Verdicts, verdicts) || p.PolicyVersion != env.PolicyVersion
		p.Verdicts, p.PolicyVersion = verdicts, env.PolicyVersion
		switch c := p.Compared; {
		case c != nil && env.Release != c.Release:
			problem, hint := rollout.Replaced(p.Version, c.Version, env)
			return l.move(ctx, tx, &p, towpath.TriggerDeny, problem+"; "+hint, now)
		case p.Plan == nil || p.Plan.Base != env.Release || !env.Open():
			return l.move(ctx, tx, &p, towpath.TriggerReplan, "what the environment runs has changed since it was planned", now)
		case outcome == towpath.Deny:
			return l.move(ctx, tx, &p, towpath.TriggerDeny, summary(verdicts, towpath.Deny), now)
		case outcome == towpath.Wait:
			return l.wait(ctx, tx, p, judged, summary(verdicts, towpath.Wait), now)
		case env.Active != "":
			return l.wait(ctx, tx, p, judged, "another deployment is active: "+string(env.Active), now)
		}
		return l.deploy(ctx, tx, &env, &p, id, proof, now)
	})
	failpoint.Hit("promotion.judged")
	return reconcile.After(after), err
}

// keys are the keys that are trusted, in one order.
func (l Promotions) keys(ctx context.Context) (keys []towpath.TrustedKey, err error) {
	err = l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		keys, err = tx.TrustedKeys(ctx)
		return err
	})
	return keys, err
}

// stands reports whether the gates still say what they said, now that nobody can
// freeze or hold the environment. A promotion that waits changes nothing there, and
// who changes what it waits for has it judged again.
func (l Promotions) stands(ctx context.Context, tx Tx, p towpath.Promotion, in gate.Input, keys []towpath.TrustedKey, outcome towpath.Outcome) (bool, error) {
	if outcome == towpath.Wait {
		return true, nil
	}
	trusted, err := tx.TrustedKeys(ctx)
	if err != nil || !slices.EqualFunc(keys, trusted, func(a, b towpath.TrustedKey) bool { return reflect.DeepEqual(a, b) }) {
		return false, err
	}
	said, err := again(ctx, tx, p, in, latest(in.Now, l.cfg.Now()))
	return said == outcome, err
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// wait keeps the promotion where it is, and records verdicts that are new.
func (l Promotions) wait(ctx context.Context, tx Tx, p towpath.Promotion, judged bool, reason string, now time.Time) error {
	if !judged && p.Reason == reason {
		return nil
	}
	p.Reason, p.UpdatedAt = reason, now
	if err := tx.SavePromotion(ctx, p); err != nil {
		return err
	}
	ev := event(p, towpath.System(), "promotion.judged", now)
	ev.Reason = reason
	return tx.Record(ctx, ev)
}

// move takes a promotion to its next phase, with its event, and looks at it
// again unless it has ended.
func (s *Service) move(ctx context.Context, tx Tx, p *towpath.Promotion, trigger towpath.PromotionTrigger, reason string, now time.Time) error {
	return s.moveAs(ctx, tx, towpath.System(), p, trigger, reason, now)
}

func (s *Service) moveAs(ctx context.Context, tx Tx, actor towpath.Actor, p *towpath.Promotion, trigger towpath.PromotionTrigger, reason string, now time.Time) error {
	return s.moveWith(ctx, tx, actor, p, trigger, reason, nil, now)
}

// moveWith is moveAs with what else the event says.
func (s *Service) moveWith(ctx context.Context, tx Tx, actor towpath.Actor, p *towpath.Promotion, trigger towpath.PromotionTrigger, reason string, data json.RawMessage, now time.Time) error {
	to, err := towpath.PromotionTransitions().Next("promotion", p.Phase, trigger)
	if err != nil {
		return err
	}
	p.Phase, p.Reason, p.UpdatedAt = to, reason, now
	if err := tx.SavePromotion(ctx, *p); err != nil {
		return err
	}
	ev := event(*p, actor, "promotion."+string(to), now)
	ev.Reason, ev.Data = reason, data
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	if attested(to) {
		if err := tx.Enqueue(ctx, WorkAttestation, string(p.ID), now); err != nil {
			return err
		}
	}
	if towpath.PromotionTransitions().Terminal(to) {
		return tx.Enqueue(ctx, WorkEnvironment, environmentKey(p.Project, p.Environment), now)
	}
	return tx.Enqueue(ctx, WorkPromotion, string(p.ID), now)
}

// approvers lists who said yes to this very plan.
func approvers(p towpath.Promotion) []towpath.AccountName {
	var out []towpath.AccountName
	for _, a := range p.Approvals {
		if a.Approve && a.PlanHash == p.Plan.Hash && a.PolicyVersion == p.PolicyVersion && !slices.Contains(out, a.By) {
			out = append(out, a.By)
		}
	}
	return out
}
