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
	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

// grypeReport has what grype writes: a number of its own in each bom-ref.
const grypeReport = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"tools": {"components": [{"type": "application", "name": "grype", "version": "0.90"}]}},
  "components": [{"bom-ref": "pkg:deb/debian/openssl@3.0?arch=amd64&package-id=0a1b", "name": "openssl", "version": "3.0", "purl": "pkg:deb/debian/openssl@3.0?arch=amd64"},
    {"bom-ref": "pkg:deb/debian/curl@8.0?arch=amd64&package-id=2c3d", "name": "curl", "version": "8.0", "purl": "pkg:deb/debian/curl@8.0?arch=amd64"}],
  "vulnerabilities": [
    {"id": "CVE-1", "ratings": [{"severity": "high"}], "affects": [{"ref": "pkg:deb/debian/curl@8.0?arch=amd64&package-id=2c3d"}]},
    {"id": "CVE-7", "ratings": [{"severity": "critical"}], "affects": [{"ref": "pkg:deb/debian/openssl@3.0?arch=amd64&package-id=0a1b"}]}]}`

const productVEX = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "vulnerabilities": [
  {"id": "CVE-7", "analysis": {"state": "not_affected", "justification": "code_not_reachable"}, "affects": [{"ref": "pkg:deb/debian/openssl@3.0?arch=amd64"}]}]}`

// reads is a document as `scan attach` signs it.
func (s scanner) reads(release towpath.Digest, document string) []byte {
	s.h.t.Helper()
	scan, err := evidence.ReadReport([]byte(document))
	must(s.h.t, 0, err)
	statement, err := evidence.MakeScan(release, scan)
	must(s.h.t, 0, err)
	bundle, err := signing.Sign(context.Background(), s.key, statement)
	must(s.h.t, 0, err)
	return bundle
}

// TestServer_VEXClosesWhatAScannerFound: what a trusted author calls harmless passes
// and what is excepted does, both are named, and neither by anybody else's word.
func TestServer_VEXClosesWhatAScannerFound(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		rel := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
		scans := h.newScanner()
		key, pem := signingKey(t)
		must(t, 0, h.trusts("product", pem, func(r *trust.AddRequest) { r.Types = []towpath.EvidenceType{towpath.EvidenceScan} }))
		product := scanner{h, key}
		unknown, _ := signingKey(t)
		h.gates = towpath.GateRules{Scan: &towpath.ScanRule{
			Severity: towpath.SeverityHigh, Exceptions: []towpath.ScanException{{ID: "CVE-1", Reason: "behind the proxy", Until: "2999-01-01"}},
		}}
		attach := func(release towpath.Digest, bundle []byte, note int64) {
			h.attaches(rel, release, evidence.TypeScan, bundle, time.Unix(note, 0))
		}
		one := h.publish("1.0.0", "one")
		attach(one.Release, scans.reads(one.Release, grypeReport), 1)
		h.reason("dev", "1.0.0", towpath.GateScan, "grype found CVE-7 (critical) in openssl 3.0.")
		attach(one.Release, scanner{h, unknown}.reads(one.Release, productVEX), 2)
		h.reason("dev", "1.0.0", towpath.GateScan, "A scan does not count")
		attach(one.Release, product.reads(one.Release, strings.ReplaceAll(productVEX, "openssl", "curl")), 3)
		h.reason("dev", "1.0.0", towpath.GateScan, "grype found CVE-7 (critical) in openssl 3.0.")
		attach(one.Release, product.reads(one.Release, productVEX), 4)
		h.runs("dev", "1.0.0")

		t.Run("the verdict names them", func(t *testing.T) {
			p := h.promotion("dev", "1.0.0", towpath.PromotionSucceeded)
			i := slices.IndexFunc(p.Verdicts, func(v towpath.Verdict) bool { return v.Gate == towpath.GateScan })
			said := strings.Join(p.Verdicts[i].Reasons, " ")
			for _, want := range []string{
				"CVE-7 (critical) in openssl 3.0 is closed by VEX of product: not_affected, code_not_reachable.", "CVE-1 (high) is excepted until 2999-01-01: “behind the proxy”.",
			} {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in %q", want, said)
				}
			}
		})
		t.Run("so does the ledger", func(t *testing.T) {
			all, err := h.svc.Audit.Events(t.Context(), h.ana, ledger.Filter{Project: shop, Action: "promotion.deploying"})
			must(t, 0, err)
			i := slices.IndexFunc(all, func(e ledger.Entry) bool { return e.Event.Environment == "dev" })
			var passed gate.Passed
			must(t, 0, json.Unmarshal(all[i].Event.Data, &passed))
			if len(passed.Excepted) != 1 || passed.Excepted[0] != (gate.Excepted{ID: "CVE-1", Severity: "high", Until: "2999-01-01", Reason: "behind the proxy"}) ||
				len(passed.Closed) != 1 || passed.Closed[0].ID != "CVE-7" || passed.Closed[0].Key != "product" {
				t.Errorf("recorded %s", all[i].Event.Data)
			}
		})
		t.Run("the agent gets what it judges by", func(t *testing.T) {
			key, err := note.NewVerifier(h.s.PublicKey())
			must(t, 0, err)
			h.mu.Lock()
			defer h.mu.Unlock()
			i := slices.IndexFunc(h.ops, func(op towpath.Operation) bool {
				return op.Verb == towpath.VerbPrepare && op.Spec.Release == one.Release
			})
			auth, err := agentrpc.VerifyAuthorisation(h.ops[i].Spec.Authorisation, key)
			must(t, 0, err)
			var keys []string
			for _, e := range auth.Evidence {
				keys = append(keys, string(e.Key))
			}
			if !slices.Equal(keys, []string{"scanner", "product"}) {
				t.Errorf("it gets what %q signed", keys)
			}
		})
		t.Run("what runs is found bad again when the author takes it back", func(t *testing.T) {
			if all, st := h.flags(), h.status("dev"); len(all) != 0 || len(st.Findings) != 0 {
				t.Errorf("before, %+v is recorded, and it shows %q", all, st.Findings)
			}
			attach(one.Release, product.reads(one.Release, strings.ReplaceAll(productVEX, "not_affected", "exploitable")), 5)
			if all := h.flags(); len(all) == 0 || !strings.HasSuffix(all[0].Reason, ": 1 critical (CVE-7)") {
				t.Errorf("recorded %+v", all)
			}
			if st := h.status("dev"); len(st.Findings) != 1 || !strings.Contains(st.Findings[0], "CVE-7") {
				t.Errorf("it shows %q", st.Findings)
			}
		})
	})
}
