package server

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/fulciotest"
	"golang.org/x/mod/sumdb/note"
)

// TestServer_BelievesAnIdentity: a release is signed with a certificate of minutes,
// which counts when the registry had it in that time, and until the identity is
// revoked.
func TestServer_BelievesAnIdentity(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		fulcio := fulciotest.New(t, time.Now().Add(-time.Minute))
		text, err := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: fulcio.PEM()}.Encode()
		must(t, 0, err)
		must(t, 0, h.trusts("ci", string(text)))
		for _, want := range []string{fulciotest.Subject, fulciotest.Issuer, string(towpath.DigestOf([]byte(fulcio.PEM())))} {
			if said := h.events("key.trusted")[0].Event.Reason; !strings.Contains(said, want) {
				t.Errorf("the ledger does not say %s: %s", want, said)
			}
		}
		h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 1, Keys: []towpath.KeyName{"ci"}}}
		one := h.publish("1.0.0", "one")
		h.promotion("dev", "1.0.0", towpath.PromotionWaiting)

		h.signs(c, fulciotest.New(t, time.Now().Add(-time.Minute)).Signer(), one.Release)
		h.reason("dev", "1.0.0", towpath.GateSigned, "is not one of the authority that is trusted")
		leaf, key := fulcio.Hand(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-50*time.Minute)
		})
		h.signs(c, fulciotest.Signer{Key: key, Leaf: leaf}, one.Release)
		h.reason("dev", "1.0.0", towpath.GateSigned, "and the signature is known since")
		h.signs(c, fulcio.Signer(), one.Release)
		h.runs("dev", "1.0.0")

		verifier, err := note.NewVerifier(h.s.PublicKey())
		must(t, 0, err)
		h.mu.Lock()
		i := slices.IndexFunc(h.ops, func(op towpath.Operation) bool { return op.Verb == towpath.VerbPrepare })
		auth, err := agentrpc.VerifyAuthorisation(h.ops[i].Spec.Authorisation, verifier)
		h.mu.Unlock()
		must(t, 0, err)
		if len(auth.Evidence) != 1 || auth.Evidence[0].PublicKey != string(text) || auth.Evidence[0].Key != "ci" {
			t.Errorf("the agent is told %+v", auth.Evidence)
		}
		_, err = h.svc.Trust.Revoke(t.Context(), h.ana, "ci", "its repository was taken over", false)
		must(t, 0, err)
		h.until("what only it signed is quarantined", func() bool {
			return strings.Contains(h.quarantined(one), "only the key ci signed it, which was revoked by ana: its repository was taken over")
		})
		h.publish("1.1.0", "two")
		h.signs(c, fulcio.Signer(), h.promotion("dev", "1.1.0", towpath.PromotionWaiting).Release)
		h.reason("dev", "1.1.0", towpath.GateSigned, "was revoked: its repository was taken over")
		if err := h.trusts("again", string(text)); towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("it is trusted again: %v", err)
		}
	})
}

// TestServer_CountsASignatureOnce: whoever may push can show what a key signed as
// signed by an identity that it is certified for, and it is one signature.
func TestServer_CountsASignatureOnce(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		fulcio := fulciotest.New(t, time.Now().Add(-time.Minute))
		text, err := signing.Identity{Issuer: fulciotest.Issuer, Subject: fulciotest.Subject, Authority: fulcio.PEM()}.Encode()
		must(t, 0, err)
		must(t, 0, h.trusts("ci", string(text)))
		leaf, key := fulcio.Hand(nil)
		public, err := signing.EncodePublic(&key.PublicKey)
		must(t, 0, err)
		must(t, 0, h.trusts("builder", string(public)))
		h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 2}}
		one := h.publish("1.0.0", "one")
		h.promotion("dev", "1.0.0", towpath.PromotionWaiting)
		h.signs(c, fulciotest.Signer{Key: key, Leaf: leaf}, one.Release)
		h.reason("dev", "1.0.0", towpath.GateSigned, "1 of 2 signatures: ci")
		h.signs(c, fulciotest.Signer{Key: key}, one.Release)
		h.until("it is told as one", func() bool {
			said, err := h.svc.Trust.Evidence(t.Context(), h.ana, shop, "1.0.0", "dev")
			must(t, 0, err)
			return len(said.Statements) == 2 && said.Statements[0].Hand == said.Statements[1].Hand && said.Statements[0].KeyID != said.Statements[1].KeyID
		})
	})
}
