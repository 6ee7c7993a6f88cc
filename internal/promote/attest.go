package promote

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// WorkAttestation is the kind of work that says to the outside how promotions
// ended; its key is a promotion's ID.
const WorkAttestation = "attestation"

// Attestor signs statements and attaches them to releases.
type Attestor interface {
	// Attest signs how a promotion ended, stores the bytes, and calls attach
	// while nobody deletes them, with what shelves them in a transaction. A
	// release whose bytes were given up is KindNotFound.
	Attest(ctx context.Context, p towpath.Promotion, attach func(a towpath.Artifact, shelve func(context.Context, Tx) error) error) error
}

// Attestations is the loop over promotions that ended.
type Attestations struct{ *Service }

// Kind is the kind of work of the loop.
func (Attestations) Kind() string { return WorkAttestation }

// Reconcile attaches a signed statement of how a promotion ended to its
// release, once.
func (l Attestations) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	var p towpath.Promotion
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		p, err = tx.Promotion(ctx, towpath.PromotionID(key))
		return err
	})
	if err != nil || p.Attestation != "" || !attested(p.Phase) {
		return reconcile.Done(), err
	}
	err = l.attestor.Attest(ctx, p, func(a towpath.Artifact, shelve func(context.Context, Tx) error) error {
		ev := event(p, towpath.System(), "promotion.attested", now)
		ev.Reason = string(a.Digest)
		return l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			fresh, err := tx.LockPromotion(ctx, p.ID)
			if err != nil || fresh.Attestation != "" {
				return err
			}
			if err := shelve(ctx, tx); err != nil {
				return err
			}
			fresh.Attestation = a.Digest
			if err := tx.SavePromotion(ctx, fresh); err != nil {
				return err
			}
			return tx.Record(ctx, ev)
		})
	})
	failpoint.Hit("promotion.attested")
	if towpath.KindOf(err) == towpath.KindNotFound {
		err = nil // retention gave the release up: there is nothing to attach to
	}
	return reconcile.Done(), err
}

// attested reports whether there is something to say of a promotion that ended
// so: a newer one took the place of a superseded one before it was judged.
func attested(phase towpath.PromotionPhase) bool {
	return towpath.PromotionTransitions().Terminal(phase) && phase != towpath.PromotionSuperseded
}
