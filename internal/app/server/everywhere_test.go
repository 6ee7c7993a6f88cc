package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/trust"
)

const leftPad = `[{"name":"left-pad"}]`

// operator is somebody who may quarantine in one project.
func operator(p towpath.ProjectName) towpath.Actor {
	return towpath.Actor{Account: "olga", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleOperator, Project: p}, {Role: towpath.RoleAdmin, Project: p}}}
}

// TestServer_QuarantinesEverywhere: one request reaches what runs in every
// project, with the way back, and what is published later, also in a project
// that is made later; and is lifted with one.
func TestServer_QuarantinesEverywhere(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		for i := range 120 { // more than are looked at in one transaction
			must3(h.svc.Projects.Register(ctx, h.ana, towpath.ProjectName(fmt.Sprintf("empty-%03d", i)), ""))(t)
		}
		must3(h.svc.Projects.Register(ctx, h.ana, "zoo", ""))(t)
		bad := map[towpath.ProjectName]towpath.Candidate{}
		for _, h.project = range []towpath.ProjectName{shop, "zoo"} {
			h.materials = ""
			h.publish("1.0.0", "good of "+string(h.project))
			h.runs("dev", "1.0.0")
			h.materials = leftPad
			bad[h.project] = h.publish("1.1.0", "bad of "+string(h.project))
			h.runs("dev", "1.1.0")
		}
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, "", "left-pad", "CVE-2026-1"))(t)
		for _, h.project = range []towpath.ProjectName{shop, "zoo"} {
			h.untilQuarantined(bad[h.project], "it is made with left-pad, which was quarantined by ana: CVE-2026-1")
			if st := h.status("dev"); !st.Quarantined || st.Rollback == nil || st.Rollback.Version != "1.0.0" {
				t.Errorf("%s is flagged %+v, offered %+v", h.project, st.Quarantine, st.Rollback)
			}
		}
		t.Run("it says what it reaches, to whom may see that", func(t *testing.T) {
			in := func(projects ...towpath.ProjectName) (out towpath.Affected) {
				for _, p := range projects {
					out.Releases++
					out.Projects++
					out.Environments = append(out.Environments, towpath.AffectedEnvironment{Project: p, Environment: "dev", Release: bad[p].Release})
				}
				return out
			}
			h.until("every release was looked at", func() bool {
				a, err := h.svc.Releases.AffectedByMaterial(ctx, h.ana, "", "left-pad")
				return !must(t, a, err).Looking
			})
			for who, want := range map[*towpath.Actor]towpath.Affected{&h.ana: in(shop, "zoo"), {Account: "olga", Token: "t", Grants: operator(shop).Grants}: in(shop)} {
				a, err := h.svc.Releases.AffectedByMaterial(ctx, *who, "", "left-pad")
				must(t, a, err)
				// It may have gone on to the next environment before it was stopped.
				a.Environments = slices.DeleteFunc(a.Environments, func(e towpath.AffectedEnvironment) bool { return e.Environment != "dev" })
				if diff := cmp.Diff(want, a); diff != "" {
					t.Errorf("to %s (-want +got):\n%s", who.Account, diff)
				}
			}
			a, err := h.svc.Releases.AffectedByMaterial(ctx, h.ana, "", "left")
			if must(t, a, err); a.Releases+a.Projects+len(a.Environments) != 0 {
				t.Errorf("another material reaches %+v", a)
			}
			_, err = h.svc.Releases.AffectedByMaterial(ctx, operator(shop), "zoo", "left-pad")
			refused(t, "another project", err, towpath.KindForbidden)
		})
		t.Run("what is published later is reached from the start", func(t *testing.T) {
			must3(h.svc.Projects.Register(ctx, h.ana, "later", ""))(t)
			h.project = "later"
			if x := h.publish("1.0.0", "later"); h.quarantined(x) == "" {
				t.Error("it is not quarantined")
			}
			_, err := h.svc.Releases.Unquarantine(ctx, operator("later"), "later", "1.0.0", "x")
			refused(t, "lifted by a role in that project", err, towpath.KindForbidden)
		})
		t.Run("a role in a project neither does it nor lifts it", func(t *testing.T) {
			olga := operator(shop)
			_, err := h.svc.Releases.QuarantineMaterial(ctx, olga, "", "other", "x")
			refused(t, "quarantined everywhere", err, towpath.KindForbidden)
			refused(t, "lifted everywhere", h.svc.Releases.UnquarantineMaterial(ctx, olga, "", "left-pad", "x"), towpath.KindForbidden)
			refused(t, "lifted in the project", h.svc.Releases.UnquarantineMaterial(ctx, olga, shop, "left-pad", "x"), towpath.KindConflict)
			_, err = h.svc.Releases.Unquarantine(ctx, olga, shop, "1.1.0", "x")
			refused(t, "lifted of a release", err, towpath.KindForbidden)
			must3(h.svc.Releases.Quarantine(ctx, olga, shop, "1.1.0", "by hand"))(t) // on top
			_, err = h.svc.Releases.Unquarantine(ctx, olga, shop, "1.1.0", "x")
			refused(t, "lifted of a release by way of another reason", err, towpath.KindForbidden)
			operatorEverywhere := towpath.Actor{Account: "olga", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleOperator}}}
			_, err = h.svc.Releases.QuarantineMaterial(ctx, operatorEverywhere, "", "other", "x")
			refused(t, "quarantined everywhere by an operator", err, towpath.KindForbidden)
			list, err := h.svc.Releases.QuarantinedMaterials(ctx, olga, shop)
			if must(t, list, err); len(list) != 1 || list[0].Project != "" || list[0].Material != "left-pad" {
				t.Errorf("the project lists %+v", list)
			}
		})
		t.Run("it is lifted with one request", func(t *testing.T) {
			must(t, 0, h.svc.Releases.UnquarantineMaterial(ctx, h.ana, "", "left-pad", "it was not"))
			h.until("the release of the zoo is lifted", func() bool { return h.quarantined(bad["zoo"]) == "" })
			h.until("what was said by hand is the project's matter", func() bool {
				r, err := h.svc.Releases.Get(ctx, h.ana, shop, "1.1.0")
				must(t, r, err)
				return r.Quarantine != nil && r.Quarantine.Reason == "by hand" && !r.Quarantine.Everywhere
			})
			must3(h.svc.Releases.Unquarantine(ctx, operator(shop), shop, "1.1.0", "it does not leak"))(t)
			if why := h.quarantined(bad[shop]); why != "" {
				t.Errorf("it is quarantined: %s", why)
			}
			refused(t, "lifted twice", h.svc.Releases.UnquarantineMaterial(ctx, h.ana, "", "left-pad", "again"), towpath.KindNotFound)
			_, err := h.svc.Releases.Unquarantine(ctx, operator(shop), shop, "1.1.0", "again")
			refused(t, "a release lifted twice", err, towpath.KindNotFound)
		})
		t.Run("and the ledger has it", func(t *testing.T) {
			h.until("all is numbered", func() bool {
				report, err := h.svc.Audit.Verify(ctx, h.ana, "")
				return must(t, report, err).Unsequenced == 0
			})
			for _, action := range []string{"material.quarantined", "material.unquarantined"} {
				all, err := h.svc.Audit.Events(ctx, h.ana, ledger.Filter{Action: action})
				must(t, all, err)
				if len(all) != 1 || all[0].Event.Project != "" || all[0].Event.Subject != "left-pad" || all[0].Event.Actor != "ana" {
					t.Errorf("%s is recorded as %+v", action, all)
				}
			}
			for p, action := range map[towpath.ProjectName]string{shop: "release.quarantined", "zoo": "release.unquarantined"} {
				all, err := h.svc.Audit.Events(ctx, h.ana, ledger.Filter{Project: p, Action: action})
				must(t, all, err)
				if !slices.ContainsFunc(all, func(e ledger.Entry) bool { return e.Event.Release == bad[p].Release && e.Event.Actor == "towpath" }) {
					t.Errorf("%s of %s is recorded as %+v", action, p, all)
				}
			}
		})
	})
}

// TestServer_LiftsWhatWasEverywhere: all of it, however many releases of a project
// are quarantined for something else, and also what nobody could read; and nothing
// else: what is still in force goes on as it was.
func TestServer_LiftsWhatWasEverywhere(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		h.materials = leftPad
		x := h.publish("1.0.0", "one")
		h.materials = ""
		unread := h.publish("1.1.0", "two")
		a := h.billOf(unread, bill("pkg:npm/other@1.0.0"))
		h.pushes(h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser), a)
		must(t, 0, h.s.agents.blobs.Delete(ctx, a.Digest))
		must(t, 0, store.For[release.Tx](h.s.store).Update(ctx, func(ctx context.Context, tx release.Tx) error {
			for i := range 250 { // more than two pages, before those
				d := towpath.Digest(fmt.Sprintf("sha256:%064d", i))
				if err := tx.SetQuarantine(ctx, shop, d, &towpath.Quarantine{Release: d, Reason: "by hand", By: "ana"}); err != nil {
					return err
				}
			}
			return nil
		}))
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "left-pad", "CVE-of-shop"))(t)
		h.untilQuarantined(x, "CVE-of-shop")
		h.untilQuarantined(unread, "CVE-of-shop")
		for _, version := range []string{"1.0.0", "1.1.0"} { // so that it is for what is so everywhere
			must3(h.svc.Releases.Unquarantine(ctx, operator(shop), shop, version, "I looked"))(t)
		}
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, "", "left-pad", "CVE-2026-1"))(t)
		h.untilQuarantined(x, "CVE-2026-1")
		h.untilQuarantined(unread, "nobody can tell whether it is made with left-pad")
		_, err := h.svc.Releases.Unquarantine(ctx, operator(shop), shop, "1.1.0", "x")
		refused(t, "lifted of what nobody could read", err, towpath.KindForbidden)

		lifted := len(h.events("release.unquarantined"))
		materials := release.Materials{Service: h.svc.Releases.(*release.Service)}
		for _, key := range []string{"shop/left-pad", "shop/left", "shop/other"} {
			_, err := materials.Reconcile(ctx, key, time.Now())
			must(t, 0, err)
		}
		if n := len(h.events("release.unquarantined")) - lifted; n > 0 {
			t.Errorf("%d releases were lifted while it is quarantined", n)
		}
		must(t, 0, h.svc.Releases.UnquarantineMaterial(ctx, h.ana, "", "left-pad", "it was not"))
		h.until("all of it is lifted, also where a project has its own word on it", func() bool {
			return h.quarantined(x) == "" && h.quarantined(unread) == ""
		})
	})
}

func refused(t *testing.T, what string, err error, kind towpath.Kind) {
	t.Helper()
	if towpath.KindOf(err) != kind {
		t.Errorf("%s: %v", what, err)
	}
}

// TestServer_QuarantineEverywhereStopsWhatIsUnderWay: what is being deployed in
// another project goes back.
func TestServer_QuarantineEverywhereStopsWhatIsUnderWay(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		newCanary(t, h)
		h.materials = leftPad
		h.publish("1.1.0", "two")
		h.counting()
		must3(h.svc.Releases.QuarantineMaterial(t.Context(), h.ana, "", "left-pad", "CVE-2026-1"))(t)
		h.promotion("dev", "1.1.0", towpath.PromotionRolledBack)
		if st := h.status("dev"); st.Version != "1.0.0" || st.Hold == nil || !strings.Contains(st.Hold.Reason, "left-pad") {
			t.Errorf("dev runs %s, held by %+v", st.Version, st.Hold)
		}
	})
}

// TestServer_LiftedForOneThingOnly: a release that is to be quarantined for
// something else too is so the moment that the first is lifted; when this can't be
// found out now, it is not lifted.
func TestServer_LiftedForOneThingOnly(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		h.materials = `[{"name":"left-pad"},{"name":"right-pad"}]`
		x := h.publish("1.0.0", "both")
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "left-pad", "CVE-left-pad"))(t)
		h.untilQuarantined(x, "CVE-left-pad")
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "right-pad", "CVE-right-pad"))(t)
		r, err := h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "left-pad is not used")
		if must(t, r, err); r.Quarantine == nil || !strings.Contains(r.Quarantine.Reason, "CVE-right-pad") {
			t.Errorf("then it is quarantined as %+v", r.Quarantine)
		}
		r, err = h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "nor is right-pad")
		if must(t, r, err); r.Quarantine != nil {
			t.Errorf("it is still quarantined: %+v", r.Quarantine)
		}
		h.quarantine("1.0.0", "by hand")
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "left-pad", "CVE-2026-2"))(t)
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, "", "right-pad", "CVE-2026-3"))(t)
		unable := release.New(release.Config{Now: time.Now}, store.For[release.Tx](h.s.store), refusing{h.s.agents.blobs, x.Provenance}, nil, nil)
		_, err = unable.Unquarantine(ctx, h.ana, shop, "1.0.0", "it was not")
		refused(t, "lifted", err, towpath.KindUnavailable)
		if why := h.quarantined(x); why != "by hand" {
			t.Errorf("it is quarantined because %q", why)
		}
		r, err = h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "it was not")
		if must(t, r, err); r.Quarantine == nil || !strings.Contains(r.Quarantine.Reason, "CVE-2026-") { // whichever is found first
			t.Errorf("then it is quarantined as %+v", r.Quarantine)
		}
	})
}

// TestServer_UnreadHoldsUpNothingElsewhere: a release that can't be looked at now
// keeps neither the releases of its project nor other projects waiting.
func TestServer_UnreadHoldsUpNothingElsewhere(t *testing.T) {
	h := openHarness(t, Config{Data: folder(t)}, gittest.New(t))
	t.Cleanup(func() { _ = h.s.Close() })
	h.introduce()
	must3(h.svc.Projects.Register(t.Context(), h.ana, "zoo", ""))(t)
	h.materials = leftPad
	one, two := h.publish("1.0.0", "one"), h.publish("1.1.0", "two")
	h.project = "zoo"
	three := h.publish("1.0.0", "three")
	must3(h.svc.Releases.QuarantineMaterial(t.Context(), h.ana, "", "left-pad", "CVE-2026-1"))(t)
	releases := release.New(release.Config{Now: time.Now}, store.For[release.Tx](h.s.store), refusing{h.s.agents.blobs, one.Provenance}, nil, nil)
	for _, key := range []string{"/left-pad", "shop/left-pad", "zoo/left-pad"} {
		n := 0
		must(t, 0, h.s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM work WHERE kind = 'material' AND key = $1`, key).Scan(&n))
		if n != 1 {
			t.Errorf("%s is not asked for", key)
		}
		_, err := release.Materials{Service: releases}.Reconcile(t.Context(), key, time.Now())
		must(t, 0, err)
	}
	if h.quarantined(one) != "" || h.quarantined(two) == "" || h.quarantined(three) == "" {
		t.Errorf("quarantined: %q, %q, %q", h.quarantined(one), h.quarantined(two), h.quarantined(three))
	}
	_, err := release.Examinations{Service: h.svc.Releases.(*release.Service)}.Reconcile(t.Context(), "shop/"+string(one.Release), time.Now())
	must(t, 0, err)
	if h.quarantined(one) == "" {
		t.Error("it is not quarantined once it can be looked at")
	}
}

// TestServer_UnreadIsLiftedOnce: who looked at what can't be read needs not say so
// for every material, but again for each that comes later.
func TestServer_UnreadIsLiftedOnce(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		x := h.publish("1.0.0", "one")
		a := h.billOf(x, bill("pkg:npm/other@1.0.0"))
		h.pushes(h.registryAs("vic", towpath.RoleViewer, towpath.RoleReleaser), a)
		must(t, 0, h.s.agents.blobs.Delete(ctx, a.Digest))
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "a-pad", "CVE-a"))(t)
		h.untilQuarantined(x, "nobody can tell whether it is made with a-pad")
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, shop, "b-pad", "CVE-b"))(t)
		r, err := h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "I looked")
		if must(t, r, err); r.Quarantine == nil || !strings.Contains(r.Quarantine.Reason, "b-pad") {
			t.Errorf("for what came later it is quarantined as %+v", r.Quarantine)
		}
		r, err = h.svc.Releases.Unquarantine(ctx, h.ana, shop, "1.0.0", "I looked at that too")
		if must(t, r, err); r.Quarantine != nil {
			t.Errorf("it is quarantined: %+v", r.Quarantine)
		}
		must3(h.svc.Releases.QuarantineMaterial(ctx, h.ana, "", "c-pad", "CVE-c"))(t)
		h.untilQuarantined(x, "nobody can tell whether it is made with c-pad")
	})
}

// TestServer_RevokesAKeyEverywhere: one request revokes a key under all its names,
// in every project, and nobody can trust it again.
func TestServer_RevokesAKeyEverywhere(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		must3(h.svc.Projects.Register(ctx, h.ana, "zoo", ""))(t)
		must3(h.svc.Projects.Register(ctx, h.ana, "new", ""))(t)
		lost, pem := signingKey(t)
		must(t, 0, h.trusts("lost", pem))
		must(t, 0, h.trusts("lost-in-zoo", pem, func(r *trust.AddRequest) { r.Project = "zoo" }))
		var signed []towpath.Candidate
		for _, h.project = range []towpath.ProjectName{shop, "zoo"} {
			x := h.publish("1.0.0", "one")
			a := h.signedAbout(lost, x.Release, evidence.TypeSignature, struct{}{})
			for _, b := range append(a.Blobs, a.Manifest) {
				must(t, 0, h.svc.Releases.PutBlob(ctx, h.ana, h.project, towpath.DigestOf(b), strings.NewReader(string(b))))
			}
			must2(t)(h.svc.Releases.Publish(ctx, h.ana, release.PublishRequest{
				Project: h.project, Manifest: must3(readBlob(ctx, h, x.Release))(t), Provenance: statement(x.Release, x.Version),
				Commit: x.Commit, Ref: x.Ref, Version: x.Version, Evidence: []towpath.Digest{a.Digest},
			}))
			signed = append(signed, x)
		}
		_, err := h.svc.Trust.Revoke(ctx, operator(shop), "lost", "it was on a laptop", true)
		refused(t, "revoked everywhere by a project's admin", err, towpath.KindForbidden)
		k, err := h.svc.Trust.Revoke(ctx, h.ana, "lost", "it was on a laptop", true)
		if must(t, k, err); k.Name != "lost" || k.Revoked == nil || !k.Revoked.Everywhere {
			t.Errorf("answered %+v", k)
		}
		for _, x := range signed {
			h.untilQuarantined(x, "it was on a laptop")
		}
		_, err = h.svc.Releases.Unquarantine(ctx, operator(shop), shop, "1.0.0", "x")
		refused(t, "lifted by a project's admin", err, towpath.KindForbidden)
		err = h.trusts("again", pem, func(r *trust.AddRequest) { r.Project = "new" })
		refused(t, "trusted again in a project that never did", err, towpath.KindConflict)
		for project, name := range map[towpath.ProjectName]string{shop: `the key "lost" was revoked`, "zoo": `the key "lost-in-zoo" was revoked`} {
			said, err := h.svc.Trust.Evidence(ctx, h.ana, project, "1.0.0", "")
			told := slices.ContainsFunc(must(t, said, err).Statements, func(a towpath.Attestation) bool { return strings.Contains(a.Refused, name) })
			if !told {
				t.Errorf("%s is told of another project's name for it: %+v", project, said.Statements)
			}
		}
		all, err := h.svc.Trust.List(ctx, h.ana, "", "")
		must(t, all, err)
		n := 0
		for _, k := range all {
			if k.Revoked != nil && k.Revoked.Reason == "it was on a laptop" {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d records are revoked: %+v", n, all)
		}
		_, err = h.svc.Trust.Revoke(ctx, h.ana, "nobody", "x", true)
		refused(t, "revoked what is not there", err, towpath.KindNotFound)
	})
}
