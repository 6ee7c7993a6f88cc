package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

// TestServer_AttestsHowPromotionsEnd: whoever has the server's public key can
// tell outside what was promoted where, and what was not.
func TestServer_AttestsHowPromotionsEnd(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		one := h.publish("1.0.0", "one")
		h.runs("staging", "1.0.0")
		_, err := h.svc.Promotions.Cancel(ctx, h.ana, h.promotion("prod", "1.0.0", towpath.PromotionWaiting).ID, "not today")
		must(t, 0, err)
		c := h.registryAs("vic", towpath.RoleViewer)
		keys, err := h.svc.Trust.List(ctx, h.ana, shop, "")
		must(t, 0, err)
		pem := keys[len(keys)-1].PublicKey
		outside, err := signing.NewVerifier(signing.Trust{Keys: []signing.TrustedKey{{Name: "their server", PublicKey: pem, Types: []string{evidence.TypePromotion}}}})
		must(t, 0, err)
		type ended struct {
			Environment, Outcome, Reason string
			Candidate                    struct{ Version string }
		}
		said := func() (out []ended) {
			index := ocitest.JSON[struct{ Manifests []struct{ Digest string } }](t, c.Expect(c.Do("GET", c.Repo("referrers/"+string(one.Release)), nil), 200))
			for _, m := range index.Manifests {
				a := ocitest.JSON[pulled](t, c.Expect(c.Do("GET", c.Repo("manifests/"+m.Digest), nil), 200))
				b := c.Expect(c.Do("GET", c.Repo("blobs/"+a.Layers[0].Digest), nil), 200)
				v, err := outside.Verify(b.Body, signing.Requirement{Type: evidence.TypePromotion, Subject: one.Release, At: time.Now()})
				must(t, 0, err)
				var e ended
				must(t, 0, json.Unmarshal(v.Statement.Predicate, &e))
				out = append(out, e)
			}
			slices.SortFunc(out, func(a, b ended) int { return strings.Compare(a.Environment, b.Environment) })
			return out
		}
		h.until("three promotions are attested", func() bool { return len(said()) == 3 })
		got := said()
		if got[0].Environment != "dev" || got[0].Outcome != "succeeded" || got[1].Outcome != "cancelled" || !strings.Contains(got[1].Reason, "not today") || got[2].Outcome != "succeeded" || got[2].Candidate.Version != "1.0.0" {
			t.Errorf("got %+v", got)
		}
		t.Run("each once", func(t *testing.T) {
			l, err := h.svc.Promotions.List(ctx, h.ana, promote.Filter{Project: shop})
			must(t, 0, err)
			for _, p := range l.Items {
				must(t, 0, h.s.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
					return tx.Enqueue(ctx, promote.WorkAttestation, string(p.ID), time.Now())
				}))
			}
			h.publish("1.1.0", "two") // goes through the same queue
			h.runs("staging", "1.1.0")
			if again := said(); len(again) != 3 {
				t.Errorf("got %d statements", len(again))
			}
		})
		t.Run("nobody else is the server", func(t *testing.T) {
			_, other := signingKey(t)
			if err := h.trusts("towpath", other); towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("got %v", err)
			}
		})
	})
}
