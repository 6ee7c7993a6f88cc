package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/ocitest"
)

func bill(purl string) string {
	return fmt.Sprintf(`{"bomFormat":"CycloneDX","components":[{"purl":%q}]}`, purl)
}

// quarantined is why a release is; empty when it is not.
func (h *harness) quarantined(c towpath.Candidate) string {
	h.t.Helper()
	r, err := h.svc.Releases.Get(context.Background(), h.ana, c.Project, string(c.Release))
	must(h.t, 0, err)
	if r.Quarantine == nil {
		return ""
	}
	return r.Quarantine.Reason
}

func (h *harness) untilQuarantined(c towpath.Candidate, says string) {
	h.t.Helper()
	h.until(c.Version+" is quarantined: "+says, func() bool { return strings.Contains(h.quarantined(c), says) })
}

// pushes attaches something to a release, as any client of the registry may.
func (h *harness) pushes(c *ocitest.Client, a oci.Attachment) {
	h.t.Helper()
	for _, b := range a.Blobs {
		c.Expect(c.Do("POST", c.Repo("blobs/uploads/?digest="+ocitest.Sha256(b)), b, "Content-Type", "application/octet-stream"), 201)
	}
	c.Expect(c.Do("PUT", c.Repo("manifests/"+string(a.Digest)), a.Manifest, "Content-Type", towpath.MediaTypeManifest), 201)
}

// billOf is the attachment of a bill of materials to a release.
func (h *harness) billOf(x towpath.Candidate, bill string) oci.Attachment {
	h.t.Helper()
	manifest := must3(readBlob(context.Background(), h, x.Release))(h.t)
	a, err := oci.AttachSBOM(oci.Blob{Digest: x.Release, Size: int64(len(manifest))}, []byte(bill))
	must(h.t, 0, err)
	return a
}

// TestServer_MaterialIsNotHidden: what a releaser attaches to one release hides
// neither what that one is made with, nor what the others are.
func TestServer_MaterialIsNotHidden(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		damaged := h.publish("1.0.0", "damaged")
		a := h.billOf(damaged, bill("pkg:npm/other@1.0.0"))
		h.pushes(c, a)
		must(t, 0, h.s.agents.blobs.Delete(ctx, a.Digest))

		hidden := h.publish("1.1.0", "hidden")
		real := h.billOf(hidden, bill("pkg:npm/left-pad@1.3.0"))
		for i, n := 0, 0; n < 101; i++ { // more than are read at a time
			junk := h.billOf(hidden, bill(fmt.Sprintf("pkg:npm/junk@%d", i)))
			if junk.Digest < real.Digest { // which is the order of the registry
				h.pushes(c, junk)
				n++
			}
		}
		h.pushes(c, real)

		signed := h.publish("1.2.0", "signed")
		key, _ := signingKey(t) // that nobody trusts
		h.says(c, key, signed.Release, evidence.TypeSBOM, map[string]any{"bomFormat": "CycloneDX", "components": []any{map[string]string{"purl": "pkg:npm/left-pad@1.3.0"}}})
		plain := h.publish("1.3.0", "plain")
		h.pushes(c, h.billOf(plain, bill("pkg:npm/other@1.0.0")))

		_, err := h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "pkg:npm/left-pad", "CVE-2026-1")
		must(t, 0, err)
		h.untilQuarantined(hidden, "it is made with pkg:npm/left-pad, which was quarantined by ana: CVE-2026-1")
		h.untilQuarantined(signed, "it is made with pkg:npm/left-pad")
		h.untilQuarantined(damaged, "nobody can tell whether it is made with pkg:npm/left-pad, which was quarantined by ana: CVE-2026-1 (it could not be looked at: there is no blob")
		if why := h.quarantined(plain); why != "" {
			t.Errorf("what is made without it is quarantined: %s", why)
		}

		t.Run("nor what is attached later", func(t *testing.T) {
			h.pushes(c, h.billOf(plain, bill("pkg:npm/left-pad@1.4.0")))
			h.untilQuarantined(plain, "it is made with pkg:npm/left-pad")
		})
		t.Run("but what a person lifted stays so", func(t *testing.T) {
			_, err := h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.3.0", "it is not used")
			must(t, 0, err)
			h.pushes(c, h.billOf(plain, bill("pkg:npm/left-pad@1.5.0")))
			h.until("it was examined again", func() bool {
				n := 0
				err := h.s.db.QueryRow(ctx, `SELECT COUNT(*) FROM work WHERE kind = 'examination'`).Scan(&n)
				return err == nil && n == 0
			})
			if why := h.quarantined(plain); why != "" {
				t.Errorf("it is quarantined: %s", why)
			}
			_, err = h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "pkg:npm/left-pad", "CVE-2026-2")
			must(t, 0, err)
			h.untilQuarantined(plain, "CVE-2026-2")
		})
	})
}

// TestServer_MaterialIsNotRewrapped: what is around a signature is not signed. However
// somebody writes it, what the gates take is examined too.
func TestServer_MaterialIsNotRewrapped(t *testing.T) {
	h := newHarness(t)
	ctx := context.Background()
	c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
	key, pem := signingKey(t)
	must(t, 0, h.trusts("builder", pem))
	h.gates = towpath.GateRules{SBOM: &towpath.SBOMRule{}}
	payload := func(e map[string]any, to *base64.Encoding) {
		raw, err := base64.StdEncoding.DecodeString(e["payload"].(string))
		must(t, 0, err)
		before := e["payload"]
		if e["payload"] = to.EncodeToString(raw); e["payload"] == before {
			t.Fatal("it is written as it was")
		}
	}
	ways := []struct {
		name   string
		change func(b, e map[string]any)
	}{
		{"the other name", func(b, e map[string]any) { b["dsse_envelope"] = e; delete(b, "dsseEnvelope") }},
		{"unpadded", func(_, e map[string]any) { payload(e, base64.RawStdEncoding) }},
		{"for addresses", func(_, e map[string]any) { payload(e, base64.URLEncoding) }},
	}
	for i, way := range ways {
		x := h.publish(fmt.Sprintf("1.%d.0", i), way.name)
		statement, err := evidence.Make("", x.Release, evidence.TypeSBOM, map[string]any{
			"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []any{map[string]string{"name": "???>>>~~", "purl": "pkg:npm/left-pad@1.3.0"}},
		})
		must(t, 0, err)
		for len(statement)%3 == 0 { // so that there is something to strip
			statement = append(statement, ' ')
		}
		bundle, err := signing.Sign(ctx, key, statement)
		must(t, 0, err)
		var b map[string]any
		must(t, 0, json.Unmarshal(bundle, &b))
		way.change(b, b["dsseEnvelope"].(map[string]any))
		bundle, err = json.Marshal(b)
		must(t, 0, err)
		h.attaches(c, x.Release, evidence.TypeSBOM, bundle, time.Unix(0, 0))
		h.runs("dev", x.Version) // the gate takes it
	}
	_, err := h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "pkg:npm/left-pad", "CVE-2026-1")
	must(t, 0, err)
	for i := range ways {
		h.untilQuarantined(h.candidate(fmt.Sprintf("1.%d.0", i)), "it is made with pkg:npm/left-pad")
	}
}

// TestServer_UnreadBillIsSaid: a bill that can't be read is not one that names
// nothing; whoever lifts what follows from it has looked at what is attached then,
// and at nothing that comes later.
func TestServer_UnreadBillIsSaid(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		for i, text := range []string{
			`<bom xmlns="http://cyclonedx.org/schema/bom/1.6"/>`,
			`{"spdxVersion":"SPDX-2.3","packages":[{"name":"left-pad"}]}`,
			`{"bomFormat":"CycloneDX","components":[{"purl":"pkg:npm/left-pad@1.3.0"}],"components":[]}`,
		} {
			h.pushes(c, h.billOf(h.publish(fmt.Sprintf("1.%d.0", i), fmt.Sprintf("odd %d", i)), text))
		}
		nested := h.publish("2.0.0", "nested")
		h.pushes(c, h.billOf(nested, `{"bomFormat":"CycloneDX","components":[{"name":"a","components":[{"purl":"pkg:npm/left-pad@1.3.0"}]}]}`))
		_, err := h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "pkg:npm/left-pad", "CVE-2026-1")
		must(t, 0, err)
		h.untilQuarantined(nested, "it is made with pkg:npm/left-pad")
		for i := range 3 {
			h.untilQuarantined(h.candidate(fmt.Sprintf("1.%d.0", i)), "nobody can tell whether it is made with pkg:npm/left-pad, which was quarantined by ana: CVE-2026-1 (it could not be looked at: the bill of materials can't be read")
		}

		odd := h.candidate("1.0.0")
		_, err = h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "it is for another tool")
		must(t, 0, err)
		h.until("it was examined again", func() bool { return h.examinations() == 0 })
		if why := h.quarantined(odd); why != "" {
			t.Errorf("what was lifted is quarantined: %s", why)
		}
		h.pushes(c, h.billOf(odd, `<bom xmlns="http://cyclonedx.org/schema/bom/1.5"/>`))
		h.untilQuarantined(odd, "nobody can tell")
	})
}

// candidate is that of a version.
func (h *harness) candidate(version string) towpath.Candidate {
	h.t.Helper()
	r, err := h.svc.Releases.Get(context.Background(), h.ana, shop, version)
	must(h.t, 0, err)
	return towpath.Candidate{Project: shop, Release: r.Digest, Version: version}
}

// examinations are those that are due.
func (h *harness) examinations() (n int) {
	h.t.Helper()
	must(h.t, 0, h.s.db.QueryRow(context.Background(), `SELECT COUNT(*) FROM work WHERE kind = 'examination'`).Scan(&n))
	return n
}

// refusing is a store that can't be asked for one blob now.
type refusing struct {
	blob.Store
	not towpath.Digest
}

func (r refusing) Open(ctx context.Context, d towpath.Digest) (io.ReadCloser, int64, error) {
	if d == r.not {
		return nil, 0, towpath.E(towpath.KindUnavailable, "test", "not now")
	}
	return r.Store.Open(ctx, d)
}

// TestServer_MaterialsGoOn: a release that can't be looked at now is not blamed,
// and is looked at by itself; the others are not kept waiting.
func TestServer_MaterialsGoOn(t *testing.T) {
	h := openHarness(t, Config{Data: folder(t)}, gittest.New(t))
	t.Cleanup(func() { _ = h.s.Close() })
	h.introduce()
	h.materials = `[{"name":"left-pad"}]`
	one, two := h.publish("1.0.0", "one"), h.publish("1.1.0", "two")
	_, err := h.svc.Releases.QuarantineMaterial(t.Context(), h.ana, shop, "left-pad", "CVE-2026-1")
	must(t, 0, err)
	releases := release.New(release.Config{Now: time.Now}, store.For[release.Tx](h.s.store), refusing{h.s.agents.blobs, one.Provenance}, nil, nil)
	asked := func(x towpath.Candidate) (n int) {
		must(t, 0, h.s.db.QueryRow(t.Context(), `SELECT gen FROM work WHERE kind = 'examination' AND key = $1`, "shop/"+string(x.Release)).Scan(&n))
		return n
	}
	before := []int{asked(one), asked(two)}
	_, err = release.Materials{Service: releases}.Reconcile(t.Context(), "shop/left-pad", time.Now())
	must(t, 0, err)
	if a, b := h.quarantined(one), h.quarantined(two); a != "" || b == "" {
		t.Errorf("quarantined: %q, %q", a, b)
	}
	if asked(one) == before[0] || asked(two) != before[1] {
		t.Error("not the one that could not be looked at is asked for again")
	}
	examine := release.Examinations{Service: releases}
	if _, err := examine.Reconcile(t.Context(), "shop/"+string(one.Release), time.Now()); towpath.KindOf(err) != towpath.KindUnavailable {
		t.Errorf("got %v", err)
	}
	examine.Service = h.svc.Releases.(*release.Service)
	_, err = examine.Reconcile(t.Context(), "shop/"+string(one.Release), time.Now())
	must(t, 0, err)
	if h.quarantined(one) == "" {
		t.Error("it is not quarantined once it can be looked at")
	}
}

// TestServer_RevocationGoesOn: one release whose signatures can't be read keeps
// none of the others from being quarantined, now and later.
func TestServer_RevocationGoesOn(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		c := h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser)
		lost, lostPEM := signingKey(t)
		kept, keptPEM := signingKey(t)
		must(t, 0, h.trusts("lost", lostPEM))
		must(t, 0, h.trusts("kept", keptPEM))
		damaged := h.publish("1.0.0", "damaged")
		h.signs(c, kept, damaged.Release)
		h.damageBundles(damaged.Release)
		saved := h.publish("1.1.0", "saved")
		h.signs(c, lost, saved.Release)
		h.damageBundles(saved.Release)
		h.signs(c, kept, saved.Release)
		only := h.publish("1.2.0", "only")
		h.signs(c, lost, only.Release)
		_, err := h.svc.Trust.Revoke(ctx, h.ana, "lost", "it was on a laptop", false)
		must(t, 0, err)
		h.untilQuarantined(only, "only the key lost signed it, which was revoked by ana: it was on a laptop")
		h.untilQuarantined(damaged, "nobody can tell whether only the key lost signed it (it could not be looked at: there is no blob")
		h.until("what it reaches is known", func() bool {
			a, err := h.svc.Trust.Affected(ctx, h.ana, "lost")
			return !must(t, a, err).Looking && a.Releases == 2 && a.Projects == 1
		})
		_, err = h.svc.Trust.Affected(ctx, h.ana, "nobody")
		refused(t, "a key that is not there", err, towpath.KindNotFound)
		if why := h.quarantined(saved); why != "" {
			t.Errorf("what another key signed is quarantined: %s", why)
		}
		t.Run("what it signs later is quarantined too", func(t *testing.T) {
			later := h.publish("1.3.0", "later")
			h.signs(c, lost, later.Release)
			h.untilQuarantined(later, "only the key lost signed it")
		})
		t.Run("and what it signed comes with a release", func(t *testing.T) {
			x := h.publish("1.4.0", "with")
			a := h.signedAbout(lost, x.Release, evidence.TypeSignature, struct{}{})
			for _, b := range append(a.Blobs, a.Manifest) {
				must(t, 0, h.svc.Releases.PutBlob(ctx, h.ana, shop, towpath.DigestOf(b), bytes.NewReader(b)))
			}
			must2(t)(h.svc.Releases.Publish(ctx, h.ana, release.PublishRequest{
				Project: shop, Manifest: must3(readBlob(ctx, h, x.Release))(t), Provenance: statement(x.Release, x.Version),
				Commit: x.Commit, Ref: x.Ref, Version: x.Version, Evidence: []towpath.Digest{a.Digest},
			}))
			h.untilQuarantined(x, "only the key lost signed it")
		})
	})
}
