package promote

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/towpath"
)

// Approve records one person's yes or no to a promotion: to this candidate,
// this plan and this policy version. Whoever wrote a commit of it or asked for
// it is refused, and told why.
func (s *Service) Approve(ctx context.Context, actor towpath.Actor, id towpath.PromotionID, approve bool, reason string) (towpath.Promotion, error) {
	now := s.cfg.Now()
	p, err := s.Get(ctx, actor, id)
	if err != nil {
		return p, err
	}
	subject := access.Subject{Project: p.Project, Environment: p.Environment}
	if err := access.Check(actor, access.PromotionApprove, subject); err != nil {
		return towpath.Promotion{}, err
	}
	approval := towpath.Approval{
		ID: towpath.NewID[towpath.ApprovalID]("apr", now), Promotion: id, By: actor.Account,
		Roles: access.Held(actor, access.PromotionApprove, subject), Approve: approve, Reason: reason, At: now,
	}
	in, err := s.evidence(ctx, p, now)
	if err != nil {
		return towpath.Promotion{}, err
	}
	action := "promotion.rejected"
	if approve {
		action = "promotion.approved"
		if why := gate.MayNotApprove(in, approval); why != "" {
			return towpath.Promotion{}, s.refuse(ctx, actor, p, why)
		}
	}
	ev := event(p, actor, action, now)
	ev.Reason = reason
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if p, err = tx.LockPromotion(ctx, id); err != nil {
			return err
		}
		if p.Phase != towpath.PromotionWaiting || p.Plan == nil {
			return towpath.E(towpath.KindConflict, "promotion.approve", "the promotion is %s: there is nothing to decide", p.Phase).On(string(id))
		}
		a := approval
		a.Candidate, a.PlanHash, a.PolicyVersion = p.Candidate, p.Plan.Hash, in.Environment.PolicyVersion
		if in.Plan == nil || in.Plan.Hash != p.Plan.Hash {
			return towpath.E(towpath.KindConflict, "promotion.approve", "the plan changed while you decided").
				WithHint("look at it again: towpath promotion show %s", id)
		}
		if err := tx.InsertApproval(ctx, a); err != nil {
			return err
		}
		p.Approvals = append(p.Approvals, a)
		if err := tx.SavePromotion(ctx, p); err != nil {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		return tx.Enqueue(ctx, WorkPromotion, string(id), now)
	})
	failpoint.Hit("promotion.decided")
	return p, err
}

// refuse records that an approval was refused and says why.
func (s *Service) refuse(ctx context.Context, actor towpath.Actor, p towpath.Promotion, why string) error {
	ev := event(p, actor, "approval.refused", s.cfg.Now())
	ev.Reason = why
	if err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.Record(ctx, ev) }); err != nil {
		return err
	}
	return towpath.E(towpath.KindForbidden, "promotion.approve", "%s", why).On(string(p.ID)).
		WithHint("somebody else with the role has to approve")
}

// Cancel withdraws a promotion. One that is being deployed is undone: traffic
// goes back to what ran before, unless all of it has moved already.
func (s *Service) Cancel(ctx context.Context, actor towpath.Actor, id towpath.PromotionID, reason string) (towpath.Promotion, error) {
	p, err := s.Get(ctx, actor, id)
	if err != nil {
		return p, err
	}
	if err := access.Check(actor, access.PromotionCancel, access.Subject{Project: p.Project, Environment: p.Environment}); err != nil {
		return towpath.Promotion{}, err
	}
	now := s.cfg.Now()
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if p, err = tx.LockPromotion(ctx, id); err != nil {
			return err
		}
		return s.cancel(ctx, tx, actor, &p, reason, now)
	})
	return p, err
}

// cancel withdraws a promotion, or asks its deployment to go back.
func (s *Service) cancel(ctx context.Context, tx Tx, actor towpath.Actor, p *towpath.Promotion, reason string, now time.Time) error {
	message := "cancelled by " + string(actor.Account) + why(reason)
	if p.Phase != towpath.PromotionDeploying {
		return s.moveAs(ctx, tx, actor, p, towpath.TriggerCancel, message, now)
	}
	ev := event(*p, actor, "deployment.abort-requested", now)
	ev.Reason = message
	return s.abort(ctx, tx, *p, ev)
}

// abort asks the deployment of a promotion to go back.
func (s *Service) abort(ctx context.Context, tx Tx, p towpath.Promotion, ev towpath.Event) error {
	d, err := tx.LockDeployment(ctx, p.Deployment)
	if err != nil {
		return err
	}
	if d.Phase != towpath.DeploymentPreparing && d.Phase != towpath.DeploymentSwitching {
		return towpath.E(towpath.KindConflict, "promotion.cancel", "the deployment is %s: it is too late to cancel", d.Phase).On(string(p.ID)).
			WithHint("undo it with `towpath rollback %s`", p.Environment)
	}
	if d.Abort != "" {
		return towpath.E(towpath.KindConflict, "promotion.cancel", "the deployment goes back already: %s", d.Abort).On(string(p.ID)).
			WithHint("`towpath status %s` shows how far it is", p.Environment)
	}
	d.Abort = ev.Reason
	if err := tx.SaveDeployment(ctx, d); err != nil {
		return err
	}
	ev.Subject = string(d.ID)
	if err := tx.Record(ctx, ev); err != nil {
		return err
	}
	return tx.Enqueue(ctx, WorkDeployment, string(d.ID), ev.At)
}

func why(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
