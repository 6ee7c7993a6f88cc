package server

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/trust"
)

// scanner signs reports.
type scanner struct {
	h   *harness
	key *signing.Key
}

// newScanner is one that the shop trusts.
func (h *harness) newScanner() scanner {
	h.t.Helper()
	key, pem := signingKey(h.t)
	must(h.t, 0, h.trusts("scanner", pem, func(r *trust.AddRequest) { r.Types = []towpath.EvidenceType{towpath.EvidenceScan} }))
	return scanner{h, key}
}

// report is a signed report of Trivy that says when it was made, or does not.
func (s scanner) report(release towpath.Digest, made time.Time, findings ...towpath.ScanFinding) []byte {
	s.h.t.Helper()
	return s.by("Trivy", release, made, findings...)
}

func (s scanner) by(tool string, release towpath.Digest, made time.Time, findings ...towpath.ScanFinding) []byte {
	s.h.t.Helper()
	statement, err := evidence.MakeScan(release, evidence.Scan{Tool: tool, Made: made, Findings: findings})
	must(s.h.t, 0, err)
	bundle, err := signing.Sign(context.Background(), s.key, statement)
	must(s.h.t, 0, err)
	return bundle
}

// otherBytes is a bundle that says the same in other bytes.
func otherBytes(bundle []byte) []byte { return append([]byte(" \n"), bundle...) }

func TestServer_AnOldReportIsNotMadeNew(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		rel := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
		scans := h.newScanner()
		h.gates = towpath.GateRules{Scan: &towpath.ScanRule{Severity: towpath.SeverityHigh, Keys: []towpath.KeyName{"scanner"}}}
		bad := towpath.ScanFinding{ID: "CVE-7", Severity: towpath.SeverityCritical, In: "openssl 3.0"}
		attach := func(c *ocitest.Client, release towpath.Digest, bundle []byte, note int64) towpath.Digest {
			return h.attaches(c, release, evidence.TypeScan, bundle, time.Unix(note, 0))
		}
		shown := func(version string) []towpath.Attestation {
			got, err := h.svc.Trust.Evidence(t.Context(), h.ana, shop, version, "dev")
			must(t, 0, err)
			return slices.DeleteFunc(got.Statements, func(a towpath.Attestation) bool { return a.Type != towpath.EvidenceScan })
		}

		h.publish("0.9.0", "before") // makes the environments
		must(t, 0, h.svc.Promotions.Hold(t.Context(), h.ana, shop, "dev", "until it was scanned"))
		one := h.publish("1.0.0", "one")
		clean := scans.report(one.Release, time.Time{})
		first := attach(rel, one.Release, clean, 1)
		attach(rel, one.Release, scans.report(one.Release, time.Time{}, bad), 2)
		attach(rel, one.Release, clean, 3)
		attach(rel, one.Release, otherBytes(clean), 4)
		attach(rel, one.Release, scans.by("Grype", one.Release, time.Time{}, bad), 5) // who has seen it has seen all
		must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
		both := "Grype found CVE-7 (critical) in openssl 3.0. Trivy found CVE-7 (critical) in openssl 3.0."
		h.reason("dev", "1.0.0", towpath.GateScan, both)

		t.Run("it is as old as it was, in whatever bundle it comes", func(t *testing.T) {
			all := shown("1.0.0")
			i := slices.IndexFunc(all, func(a towpath.Attestation) bool { return a.Artifact == first })
			n := 0
			for _, a := range all {
				if a.Payload == all[i].Payload && a.First.Equal(all[i].Recorded) && !a.Recorded.Before(a.First) {
					n++
				}
			}
			if n != 3 || len(all) != 5 {
				t.Errorf("%d of %d are the same: %+v", n, len(all), all)
			}
		})
		t.Run("a report that says when it was made counts from then", func(t *testing.T) {
			must(t, 0, h.svc.Promotions.Hold(t.Context(), h.ana, shop, "dev", "until it was scanned"))
			two := h.publish("1.1.0", "two")
			now := time.Now()
			attach(rel, two.Release, scans.report(two.Release, now.Add(-time.Hour), bad), 1)
			attach(rel, two.Release, scans.report(two.Release, now.Add(-2*time.Hour)), 2)
			attach(rel, two.Release, scans.by("Grype", two.Release, time.Time{}, bad), 3)
			must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
			h.reason("dev", "1.1.0", towpath.GateScan, both)
			attach(rel, two.Release, scans.report(two.Release, now), 4)
			attach(rel, two.Release, scans.by("Grype", two.Release, time.Now()), 5)
			h.runs("dev", "1.1.0")
		})
	})
}

// TestRegistry_ReportsStay: of two reports the newer counts, so who could delete
// it would bring back the older.
func TestRegistry_ReportsStay(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		bad := h.unneeded()
		rel := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
		adm := h.registryAs("adm", towpath.RoleViewer, towpath.RoleReleaser, towpath.RoleAdmin)
		d := h.attaches(rel, bad.Release, evidence.TypeScan, h.newScanner().report(bad.Release, time.Time{}), time.Unix(1, 0))
		rel.ExpectCode(rel.Do("DELETE", rel.Repo("manifests/"+string(d)), nil), 403, "DENIED")
		rel.Expect(rel.Do("GET", rel.Repo("manifests/"+string(d)), nil), 200)
		t.Run("so does the bill of materials", func(t *testing.T) {
			a := h.billOf(bad, bill("pkg:npm/left-pad@1.3.0"))
			h.pushes(rel, a)
			rel.ExpectCode(rel.Do("DELETE", rel.Repo("manifests/"+string(a.Digest)), nil), 403, "DENIED")
			rel.Expect(rel.Do("GET", rel.Repo("manifests/"+string(a.Digest)), nil), 200)
			adm.Expect(adm.Do("DELETE", adm.Repo("manifests/"+string(a.Digest)), nil), 202)
		})
		t.Run("what is no evidence goes", func(t *testing.T) {
			note := rel.Attach("application/vnd.example.note", string(bad.Release), 1)
			rel.Push(ocitest.Sha256(note), note)
			rel.Expect(rel.Do("DELETE", rel.Repo("manifests/"+ocitest.Sha256(note)), nil), 202)
		})
		t.Run("what is said of an image goes", func(t *testing.T) {
			note := rel.Attach(oci.MediaTypeBundle, rel.Push("image", rel.Manifest()), 1)
			rel.Push(ocitest.Sha256(note), note)
			rel.Expect(rel.Do("DELETE", rel.Repo("manifests/"+ocitest.Sha256(note)), nil), 202)
		})
		t.Run("an admin takes it back", func(t *testing.T) {
			adm.Expect(adm.Do("DELETE", adm.Repo("manifests/"+string(d)), nil), 202)
		})
	})
}

// TestServer_JunkHidesNoSignature: agents with keys of their own are told of the
// signatures that hold, whatever somebody attached beside them.
func TestServer_JunkHidesNoSignature(t *testing.T) {
	h := newHarness(t)
	c := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
	builder, pem := signingKey(t)
	must(t, 0, h.trusts("builder", pem))
	h.publish("0.9.0", "before")
	h.runs("dev", "0.9.0")
	must(t, 0, h.svc.Promotions.Hold(t.Context(), h.ana, shop, "dev", "until it was signed"))
	one := h.publish("1.0.0", "one")
	for range 40 {
		junk, _ := signingKey(t)
		h.signs(c, junk, one.Release)
	}
	h.signs(c, builder, one.Release)
	must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
	h.runs("dev", "1.0.0")

	key, err := note.NewVerifier(h.s.PublicKey())
	must(t, 0, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.ops, func(op towpath.Operation) bool {
		return op.Verb == towpath.VerbPrepare && op.Spec.Release == one.Release
	})
	auth, err := agentrpc.VerifyAuthorisation(h.ops[i].Spec.Authorisation, key)
	must(t, 0, err)
	if len(auth.Signatures) != 32 {
		t.Fatalf("got %d signatures", len(auth.Signatures))
	}
	bundle, err := readBlob(context.Background(), h, auth.Signatures[0])
	must(t, 0, err)
	own, err := signing.NewVerifier(signing.Trust{Keys: []signing.TrustedKey{{Name: "own", PublicKey: pem, Types: []string{evidence.TypeSignature}}}})
	must(t, 0, err)
	if _, err := own.Verify(bundle, signing.Requirement{Type: evidence.TypeSignature, Subject: one.Release, At: auth.At}); err != nil {
		t.Errorf("the first is not the one that holds: %v", err)
	}
}
