package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/trust"
)

// signingKey is a new key and its public half.
func signingKey(t *testing.T) (*signing.Key, string) {
	t.Helper()
	k, err := signing.Generate()
	must(t, 0, err)
	pem, err := signing.EncodePublic(k.Public())
	must(t, 0, err)
	return k, string(pem)
}

// trusts has a key believed in the shop.
func (h *harness) trusts(name towpath.KeyName, pem string, change ...func(*trust.AddRequest)) error {
	r := trust.AddRequest{Name: name, PublicKey: pem, Project: shop}
	for _, f := range change {
		f(&r)
	}
	_, err := h.svc.Trust.Add(context.Background(), h.ana, r)
	return err
}

// signedAbout is the attachment of a signed statement to a release.
func (h *harness) signedAbout(k signing.Signer, release towpath.Digest, predicateType string, predicate any) oci.Attachment {
	h.t.Helper()
	ctx := context.Background()
	statement, err := evidence.Make("", release, predicateType, predicate)
	must(h.t, 0, err)
	bundle, err := signing.Sign(ctx, k, statement)
	must(h.t, 0, err)
	return h.bundled(release, predicateType, bundle, time.Unix(0, 0))
}

func (h *harness) bundled(release towpath.Digest, predicateType string, bundle []byte, created time.Time) oci.Attachment {
	h.t.Helper()
	manifest := must3(readBlob(context.Background(), h, release))(h.t)
	a, err := oci.AttachBundle(oci.Blob{Digest: release, Size: int64(len(manifest))}, predicateType, bundle, created)
	must(h.t, 0, err)
	return a
}

// says pushes a signed statement about a release, as cosign does.
func (h *harness) says(c *ocitest.Client, k signing.Signer, release towpath.Digest, predicateType string, predicate any) {
	h.t.Helper()
	h.pushes(c, h.signedAbout(k, release, predicateType, predicate))
}

// attaches pushes a bundle about a release, and answers the manifest that names
// it.
func (h *harness) attaches(c *ocitest.Client, release towpath.Digest, predicateType string, bundle []byte, created time.Time) towpath.Digest {
	h.t.Helper()
	a := h.bundled(release, predicateType, bundle, created)
	h.pushes(c, a)
	return a.Digest
}

func (h *harness) signs(c *ocitest.Client, k signing.Signer, release towpath.Digest) {
	h.t.Helper()
	h.says(c, k, release, evidence.TypeSignature, struct{}{})
}

// reason waits until the verdict of a gate has a reason.
func (h *harness) reason(e towpath.EnvironmentName, version string, gate towpath.GateName, says string) {
	h.t.Helper()
	h.verdict(e, version, gate, says, func(v towpath.Verdict) string { return strings.Join(v.Reasons, " ") })
}

// hint waits until the verdict of a gate says what to do.
func (h *harness) hint(e towpath.EnvironmentName, version string, gate towpath.GateName, says string) {
	h.t.Helper()
	h.verdict(e, version, gate, says, func(v towpath.Verdict) string { return v.Hint })
}

func (h *harness) verdict(e towpath.EnvironmentName, version string, gate towpath.GateName, says string, of func(towpath.Verdict) string) {
	h.t.Helper()
	h.until(string(gate)+" says "+says, func() bool {
		l, err := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: shop, Environment: e})
		must(h.t, 0, err)
		for _, p := range l.Items {
			for _, v := range p.Verdicts {
				if p.Version == version && v.Gate == gate && v.Outcome == towpath.Wait && strings.Contains(of(v), says) {
					return true
				}
			}
		}
		return false
	})
}

// TestServer_StatementsAreNotHidden: whoever may push can attach any number of
// bundles to a release. What is verified is found among them, and the gates go on.
func TestServer_StatementsAreNotHidden(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
	builder, builderPEM := signingKey(t)
	stranger, _ := signingKey(t)
	must(t, 0, h.trusts("builder", builderPEM))
	h.gates = towpath.GateRules{Signed: &towpath.SignedRule{Count: 1, Keys: []towpath.KeyName{"builder"}}}
	one := h.publish("1.0.0", "one")
	h.promotion("dev", "1.0.0", towpath.PromotionWaiting)
	statement, err := evidence.Make("", one.Release, evidence.TypeSignature, struct{}{})
	must(t, 0, err)
	bundle, err := signing.Sign(ctx, stranger, statement)
	must(t, 0, err)
	h.attaches(c, one.Release, evidence.TypeSignature, bundle, time.Unix(0, 0))
	const flood = 1100
	for i := range flood {
		a := h.bundled(one.Release, evidence.TypeSignature, bundle, time.Unix(int64(i+1), 0))
		c.Expect(c.Do("PUT", c.Repo("manifests/"+string(a.Digest)), a.Manifest, "Content-Type", towpath.MediaTypeManifest), 201)
	}
	h.signs(c, builder, one.Release)
	h.runs("dev", "1.0.0")
	found, err := h.svc.Trust.Evidence(ctx, h.ana, shop, "1.0.0", "dev")
	must(t, 0, err)
	verified := slices.DeleteFunc(slices.Clone(found.Statements), func(a towpath.Attestation) bool { return !a.Verified() })
	if len(verified) == 0 || len(found.Statements)-len(verified) >= flood {
		t.Errorf("%d of %d statements are verified", len(verified), len(found.Statements))
	}
}

func TestServer_GatesOfEvidence(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		builder, builderPEM := signingKey(t)
		stranger, strangerPEM := signingKey(t)
		h.gates = towpath.GateRules{
			Signed:     &towpath.SignedRule{Count: 1, Keys: []towpath.KeyName{"builder"}},
			Provenance: &towpath.ProvenanceRule{Builders: []string{"https://ci.example.com"}, Branches: []string{"main"}},
			SBOM:       &towpath.SBOMRule{Complete: true},
		}
		one := h.publish("1.0.0", "one")
		h.promotion("dev", "1.0.0", towpath.PromotionWaiting)
		h.reason("dev", "1.0.0", towpath.GateSigned, "0 of 1 signature by builder.")

		h.signs(c, stranger, one.Release)
		h.reason("dev", "1.0.0", towpath.GateSigned, "which is not trusted")
		must(t, 0, h.trusts("stranger", strangerPEM, func(r *trust.AddRequest) { r.Environment = "prod" }))
		h.signs(c, builder, one.Release)
		must(t, 0, h.trusts("builder", builderPEM)) // also for what was signed before
		h.reason("dev", "1.0.0", towpath.GateProvenance, "No provenance that counts says that 1.0.0 was built from commit")
		from := func(commit towpath.CommitID) map[string]any {
			return map[string]any{
				"runDetails": map[string]any{"builder": map[string]any{"id": "https://ci.example.com"}},
				"buildDefinition": map[string]any{"resolvedDependencies": []any{
					map[string]any{"uri": "git+https://git.example.com/shop@refs/heads/main", "digest": map[string]any{"gitCommit": string(commit)}},
				}},
			}
		}
		h.says(c, builder, one.Release, evidence.TypeProvenance, from("0123456789"))
		h.reason("dev", "1.0.0", towpath.GateProvenance, "is of another build, of commit 0123456789")
		h.says(c, builder, one.Release, evidence.TypeProvenance, from(one.Commit))
		h.says(c, builder, one.Release, evidence.TypeSBOM, map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6", "compositions": []any{map[string]any{"aggregate": "incomplete"}}})
		h.reason("dev", "1.0.0", towpath.GateSBOM, "it says that it is incomplete")
		h.says(c, builder, one.Release, evidence.TypeSBOM, map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.6"})
		h.runs("dev", "1.0.0")

		t.Run("the agent is told what to verify again", func(t *testing.T) {
			key, err := note.NewVerifier(h.s.PublicKey())
			must(t, 0, err)
			h.mu.Lock()
			defer h.mu.Unlock()
			i := slices.IndexFunc(h.ops, func(op towpath.Operation) bool {
				return op.Verb == towpath.VerbPrepare && op.Target.Environment == "dev"
			})
			auth, err := agentrpc.VerifyAuthorisation(h.ops[i].Spec.Authorisation, key)
			must(t, 0, err)
			var types []string
			for _, e := range auth.Evidence {
				types = append(types, e.Type)
				if e.PublicKey != builderPEM || e.Key != "builder" || e.Recorded.IsZero() || e.First.IsZero() {
					t.Errorf("got %+v", e)
				}
			}
			slices.Sort(types)
			if want := []string{evidence.TypeSBOM, evidence.TypeSignature, evidence.TypeProvenance}; !slices.Equal(types, want) {
				t.Errorf("got %q, want %q", types, want)
			}
			if auth.Rules == nil || auth.Rules.Signed == nil || auth.Rules.Provenance == nil || auth.Rules.SBOM == nil || auth.Rules.Scan != nil || auth.Commit != one.Commit {
				t.Errorf("it is to be judged by %+v, of commit %s", auth.Rules, auth.Commit)
			}
			if len(auth.Signatures) != 2 {
				t.Errorf("got %d signatures, want the stranger's too", len(auth.Signatures))
			}
		})
		t.Run("people see what holds", func(t *testing.T) {
			got, err := h.svc.Trust.Evidence(ctx, h.ana, shop, "1.0.0", "dev")
			must(t, 0, err)
			held := map[towpath.EvidenceType]int{}
			for _, s := range got.Statements {
				if s.Verified() {
					held[s.Type]++
				} else if s.Rule != string(signing.ReasonUnknownKey) {
					t.Errorf("refused by the rule %q: %s", s.Rule, s.Refused)
				}
			}
			if n := len(got.Statements) - held[towpath.EvidencePromotion]; n != 6 || held["signature"] != 1 || held["provenance"] != 2 || held["sbom"] != 2 || len(got.Wanted) != 3 {
				t.Errorf("held %v of %d; wanted are %v", held, len(got.Statements), got.Wanted)
			}
		})
		t.Run("another environment trusts others", func(t *testing.T) {
			got, err := h.svc.Trust.Evidence(ctx, h.ana, shop, "1.0.0", "prod")
			must(t, 0, err)
			if !slices.ContainsFunc(got.Statements, func(a towpath.Attestation) bool { return a.Key == "stranger" && a.Verified() }) {
				t.Errorf("got %+v", got.Statements)
			}
		})
		t.Run("nobody who may not read releases", func(t *testing.T) {
			if _, err := h.svc.Trust.Evidence(ctx, towpath.Actor{Account: "eve", Token: "tok"}, shop, "1.0.0", ""); towpath.KindOf(err) != towpath.KindForbidden {
				t.Errorf("got %v", err)
			}
		})
	})
}

// TestServer_QuarantinesByMaterial: everything that is made with something is
// revoked, what is there and what comes.
func TestServer_QuarantinesByMaterial(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		publish := func(version string, purls ...string) towpath.Candidate {
			x := h.publish(version, version)
			manifest := must3(readBlob(ctx, h, x.Release))(t)
			components := []any{}
			for _, p := range purls {
				components = append(components, map[string]string{"purl": p})
			}
			bill, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "components": components})
			must(t, 0, err)
			must2(t)(h.svc.Releases.Publish(ctx, h.ana, release.PublishRequest{
				Project: shop, Manifest: manifest, Provenance: statement(x.Release, version), Commit: x.Commit, Ref: x.Ref, Version: x.Version,
				Evidence: []towpath.Digest{h.attached(manifest, string(bill))},
			}))
			return x
		}
		reason := func(c towpath.Candidate) string {
			r, err := h.svc.Releases.Get(ctx, h.ana, shop, string(c.Release))
			must(t, 0, err)
			if r.Quarantine == nil {
				return ""
			}
			return r.Quarantine.Reason
		}
		with := publish("1.0.0", "pkg:npm/left-pad@1.3.0", "pkg:npm/other@1.0.0")
		without := publish("1.1.0", "pkg:npm/left-pad@1.4.0")
		h.runs("dev", "1.1.0")
		_, err := h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "pkg:npm/left-pad@1.3.0", "CVE-2026-1")
		must(t, 0, err)
		h.until("what is made with it is quarantined", func() bool { return reason(with) != "" })
		if got := reason(with); got != "it is made with pkg:npm/left-pad@1.3.0, which was quarantined by ana: CVE-2026-1" {
			t.Errorf("because %s", got)
		}
		if reason(without) != "" {
			t.Error("the release without it is quarantined too")
		}
		t.Run("and what is published later, from the start", func(t *testing.T) {
			later := publish("1.2.0", "pkg:npm/left-pad@1.3.0")
			if reason(later) == "" {
				t.Error("it is not")
			}
		})
		t.Run("until it is lifted", func(t *testing.T) {
			must(t, 0, h.svc.Releases.UnquarantineMaterial(ctx, h.ana, shop, "pkg:npm/left-pad@1.3.0", "it was not"))
			if x := publish("1.3.0", "pkg:npm/left-pad@1.3.0"); reason(x) != "" || reason(with) == "" {
				t.Error("what comes is quarantined, or what was is not any more")
			}
			if err := h.svc.Releases.UnquarantineMaterial(ctx, h.ana, shop, "pkg:npm/left-pad@1.3.0", "again"); towpath.KindOf(err) != towpath.KindNotFound {
				t.Errorf("lifted twice: %v", err)
			}
		})
		t.Run("by who may", func(t *testing.T) {
			for _, tt := range []struct {
				actor            towpath.Actor
				material, reason string
				kind             towpath.Kind
			}{
				{towpath.Actor{Account: "vic", Token: "t", Grants: []towpath.Grant{{Role: towpath.RoleReleaser}}}, "sha256:1", "x", towpath.KindForbidden},
				{h.ana, " ", "x", towpath.KindInvalid}, {h.ana, "sha256:1", "", towpath.KindInvalid},
			} {
				if _, err := h.svc.Releases.QuarantineMaterial(ctx, tt.actor, shop, tt.material, tt.reason); towpath.KindOf(err) != tt.kind {
					t.Errorf("%q because of %q: %v", tt.material, tt.reason, err)
				}
			}
		})
	})
}

// TestServer_DamagedEvidence: what can't be read keeps out of environments that
// ask for it, and of no other.
func TestServer_DamagedEvidence(t *testing.T) {
	for _, tt := range []struct {
		name  string
		gates towpath.GateRules
		wait  bool
	}{
		{"an environment that asks for it waits", towpath.GateRules{Signed: &towpath.SignedRule{Count: 1}}, true},
		{"one that does not goes on", towpath.GateRules{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
			k, pem := signingKey(t)
			must(t, 0, h.trusts("builder", pem))
			h.publish("0.9.0", "before") // makes the environments
			h.runs("dev", "0.9.0")
			ctx := context.Background()
			must(t, 0, h.svc.Promotions.Hold(ctx, h.ana, shop, "dev", "until it is damaged"))
			h.gates = tt.gates
			h.publish("1.0.0", "rules")
			must(t, 0, h.svc.Promotions.Unhold(ctx, h.ana, shop, "dev", ""))
			h.runs("dev", "1.0.0") // which puts its rules in force
			must(t, 0, h.svc.Promotions.Hold(ctx, h.ana, shop, "dev", "until it is damaged"))
			one := h.publish("1.1.0", "one")
			h.signs(c, k, one.Release)
			h.damageBundles(one.Release)
			_, other := signingKey(t)
			must(t, 0, h.trusts("other", other)) // so that what was verified meanwhile is read again
			must(t, 0, h.svc.Promotions.Unhold(ctx, h.ana, shop, "dev", ""))
			if tt.wait {
				h.reason("dev", "1.1.0", towpath.GateSigned, "what is attached to the release can't be read")
				h.hint("dev", "1.1.0", towpath.GateSigned, "towpath registry scrub") // waiting does not bring it back
				return
			}
			h.runs("dev", "1.1.0")
		})
	}
}

// damageBundles takes the bytes of what is attached to a release away.
func (h *harness) damageBundles(release towpath.Digest) {
	h.t.Helper()
	var all []towpath.Artifact
	must(h.t, 0, h.s.store.View(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
		all, err = tx.Referrers(ctx, towpath.ReleaseRepository(shop), release, oci.MediaTypeBundle, "", 100)
		return err
	}))
	for _, a := range all {
		must(h.t, 0, h.s.agents.blobs.Delete(context.Background(), a.Digest))
	}
	if len(all) == 0 {
		h.t.Fatal("nothing is attached")
	}
}
