package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

func TestStore_Promotions(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		p := towpath.Promotion{
			ID: "prm_1", Project: shop, Environment: "prod", Candidate: "cnd_1", Phase: towpath.PromotionWaiting, RequestedAt: noon,
			Verdicts: []towpath.Verdict{{Gate: towpath.GateSoak, Outcome: towpath.Wait, At: noon}},
		}
		a := towpath.Approval{ID: "apr_1", Promotion: "prm_1", By: "ben", Approve: true, At: noon}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertPromotion(ctx, p), tx.InsertApproval(ctx, a))
		})
		t.Run("it is read with its approvals", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				got, err := tx.Promotion(ctx, "prm_1")
				want := p
				want.Approvals, want.Rev = []towpath.Approval{a}, got.Rev
				equal(t, got, want)
				return err
			})
		})
		t.Run("one that has ended is not open", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				got, err := tx.LockPromotion(ctx, "prm_1")
				got.Phase = towpath.PromotionSucceeded
				return errors.Join(err, tx.SavePromotion(ctx, got))
			})
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				open, err := tx.OpenPromotions(ctx, shop, "prod")
				equal(t, len(open), 0)
				all, err2 := tx.Promotions(ctx, promote.Filter{Project: shop, Environment: "prod"}, 5)
				equal(t, len(all), 1)
				openOnly, err3 := tx.Promotions(ctx, promote.Filter{Project: shop, Open: true}, 5)
				equal(t, len(openOnly), 0)
				return errors.Join(err, err2, err3)
			})
		})
	})
}

// What a gate may wait for has all environments of its project look again, and
// those of no other.
func TestStore_WakePromotions(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertProject(ctx, towpath.Project{Name: "other", Repository: "/other", CreatedAt: noon})
		})
		for _, e := range []towpath.Environment{{Project: shop, Name: "dev"}, {Project: shop, Name: "prod"}, {Project: "other", Name: "dev"}} {
			update(t, s, func(ctx context.Context, tx *store.Tx) error { _, err := tx.InsertEnvironment(ctx, e); return err })
		}
		woken := func() (keys []string) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				rows, err := tx.Query(ctx, `SELECT key FROM work WHERE kind = $1 AND run_after <= $2 ORDER BY key`, promote.WorkEnvironment, noon.UnixMicro())
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var key string
					if err := rows.Scan(&key); err != nil {
						return err
					}
					keys = append(keys, key)
				}
				return rows.Err()
			})
			return keys
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.Enqueue(ctx, promote.WorkEnvironment, "shop/prod", noon.Add(time.Hour)), tx.WakePromotions(ctx, shop, noon))
		})
		equal(t, woken(), []string{"shop/dev", "shop/prod"}) // also what was to look later
		update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.WakePromotions(ctx, "", noon) })
		equal(t, woken(), []string{"other/dev", "shop/dev", "shop/prod"})
	})
}

func TestStore_RefMoves(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		move := func(id towpath.DeploymentID, at time.Time) towpath.RefMove {
			return towpath.RefMove{Deployment: id, Project: shop, Environment: "prod", Commit: "c", State: towpath.RefPending, At: at}
		}
		old := move("dep_1", noon)
		update(t, s, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRefMove(ctx, old) })
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertRefMove(ctx, move("dep_2", noon.Add(time.Second)))
		})
		t.Run("a superseded one can't be finished any more", func(t *testing.T) {
			old.State = towpath.RefDone
			wantKind(t, s.Update(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.SaveRefMove(ctx, old) }), towpath.KindConflict)
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			got, ok, err := tx.RefMove(ctx, shop, "prod")
			if !ok || got.Deployment != "dep_2" {
				t.Errorf("the newest move is %v", got)
			}
			return err
		})
	})
}
