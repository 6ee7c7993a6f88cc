package server

import (
	"context"
	"testing"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// Whoever may read a release is told what the gates of evidence say of it, also
// where no agent is that could plan; and that it is quarantined.
func TestServer_SaysWhatTheGatesOfEvidenceSay(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		builder, pem := signingKey(t)
		must(t, 0, h.trusts("builder", pem))
		h.place = "nowhere"
		h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 1}, SBOM: &towpath.SBOMRule{}}
		one := h.publish("1.0.0", "one")
		viewer := towpath.Actor{Account: "vera", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleViewer, Project: shop}}}
		ask := func(a towpath.Actor) (map[towpath.GateName]towpath.Outcome, promote.Preview, error) {
			got, err := h.svc.Promotions.Evidence(ctx, a, promote.Request{Project: shop, Release: "1.0.0", Environment: "dev"})
			said := map[towpath.GateName]towpath.Outcome{}
			for _, v := range got.Verdicts {
				said[v.Gate] = v.Outcome
			}
			return said, got, err
		}
		wants := func(t *testing.T, signed, all towpath.Outcome) {
			t.Helper()
			said, got, err := ask(viewer)
			must(t, 0, err)
			if len(got.Verdicts) != 4 || said[towpath.GateSigned] != signed || said[towpath.GateSBOM] != towpath.Wait ||
				said[towpath.GateProvenance] != towpath.Allow || said[towpath.GateScan] != towpath.Allow {
				t.Errorf("they say %v", said)
			}
			if got.Outcome != all || got.Plan != nil || got.Candidate.ID != one.ID || got.PolicyVersion == "" {
				t.Errorf("%+v", got)
			}
		}
		wants(t, towpath.Wait, towpath.Wait)
		h.signs(h.registryAs("rita", towpath.RoleViewer, towpath.RoleReleaser), builder, one.Release)
		wants(t, towpath.Allow, towpath.Wait)
		if _, _, err := ask(towpath.Actor{Account: "eve", Token: "tok_2"}); towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("%v", err)
		}
		_, err := h.svc.Promotions.Evidence(ctx, viewer, promote.Request{Project: shop, Release: "1.0.0", Environment: "nothing"})
		if towpath.KindOf(err) != towpath.KindNotFound {
			t.Errorf("%v", err)
		}

		quarantine := func() *towpath.Quarantine {
			got, err := h.svc.Trust.Evidence(ctx, viewer, shop, "1.0.0", "dev")
			must(t, 0, err)
			return got.Quarantine
		}
		if q := quarantine(); q != nil {
			t.Errorf("%+v", q)
		}
		_, err = h.svc.Releases.Quarantine(ctx, h.ana, shop, "1.0.0", "it loses orders")
		must(t, 0, err)
		if q := quarantine(); q == nil || q.Reason != "it loses orders" || q.By != "ana" {
			t.Errorf("%+v", q)
		}
	})
}
