package server

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_OpensEnvironments: whoever may publish proposes environments, and
// nothing is deployed before somebody has seen where they run and by which rules.
func TestServer_OpensEnvironments(t *testing.T) {
	h := newHarness(t)
	ctx := t.Context()
	mal := towpath.Actor{Account: "mal", Token: "tok_1", Grants: []towpath.Grant{
		{Role: towpath.RoleReleaser, Project: shop}, {Role: towpath.RolePromoter, Project: shop}, {Role: towpath.RoleViewer, Project: shop},
	}}
	h.by = &mal
	one := h.publish("1.0.0", "one")
	waits := h.promotion("dev", "1.0.0", towpath.PromotionPlanning)
	h.until("it says what it waits for", func() bool {
		p, err := h.svc.Promotions.Get(ctx, h.ana, waits.ID)
		return err == nil && strings.Contains(p.Reason, "towpath open dev")
	})
	st := h.status("dev")
	if st.Phase != inventory.PhaseProposed || st.Proposed == nil || st.Proposed.Rules.Place != "local" {
		t.Fatalf("%+v", st)
	}
	_, err := h.svc.Promotions.Preview(ctx, mal, promote.Request{Project: shop, Environment: "dev", Release: string(one.ID)})
	if towpath.KindOf(err) != towpath.KindConflict {
		t.Errorf("planned: %v", err)
	}

	t.Run("not by whoever may publish", func(t *testing.T) {
		err := h.svc.Promotions.Open(ctx, mal, shop, "dev", st.Proposed.PolicyVersion)
		if towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("%v", err)
		}
	})
	t.Run("not by whoever answers for another place", func(t *testing.T) {
		pia := towpath.Actor{Account: "pia", Token: "tok_2", Grants: []towpath.Grant{{Role: towpath.RoleAdmin, Place: "eu-1"}, {Role: towpath.RoleViewer}}}
		err := h.svc.Promotions.Open(ctx, pia, shop, "dev", st.Proposed.PolicyVersion)
		if towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("%v", err)
		}
	})
	t.Run("not by rules that were not seen", func(t *testing.T) {
		h.gates = towpath.GateRules{Mirrored: true}
		h.publish("1.1.0", "two")
		if now := h.status("dev").Proposed; now == nil || !now.Rules.Gates.Mirrored {
			t.Fatalf("the proposal is %+v", now)
		}
		err := h.svc.Promotions.Open(ctx, h.ana, shop, "dev", st.Proposed.PolicyVersion)
		if towpath.KindOf(err) != towpath.KindConflict {
			t.Errorf("%v", err)
		}
	})
	if n := len(h.ops); n > 0 {
		t.Errorf("agents got %d operations", n)
	}

	must(t, 0, h.svc.Promotions.Open(ctx, h.ana, shop, "dev", h.status("dev").Proposed.PolicyVersion))
	h.runs("dev", "1.1.0")
	if n := len(h.events("environment.opened")); n != 1 {
		t.Errorf("recorded %d times", n)
	}

	t.Run("its rules are in force then", func(t *testing.T) {
		h.gates = towpath.GateRules{}
		h.publish("1.2.0", "three")
		if st := h.status("dev"); st.Proposed != nil {
			t.Errorf("proposed again: %+v", st.Proposed)
		}
		h.runs("dev", "1.2.0")
	})
	t.Run("an admin opens by publishing", func(t *testing.T) {
		if st := h.status("staging"); st.Proposed == nil {
			t.Fatal("staging is open")
		}
		h.by = nil
		h.publish("1.3.0", "four")
		h.runs("staging", "1.3.0")
	})
}

// TestServer_OpensElsewhere: what was opened takes only releases that put it there,
// and another place has to be opened while nothing runs.
func TestServer_OpensElsewhere(t *testing.T) {
	h := newHarness(t)
	h.dev = towpath.PromotionManual
	publish := func(place towpath.PlaceName, version string) {
		t.Helper()
		h.place = place
		h.publish(version, version)
	}
	proposes := func(place towpath.PlaceName) {
		t.Helper()
		if p := h.status("dev").Proposed; p == nil || p.Rules.Place != place {
			t.Fatalf("it proposes %+v, not %s", p, place)
		}
		must(t, 0, h.svc.Promotions.Open(t.Context(), h.ana, shop, "dev", h.status("dev").Proposed.PolicyVersion))
	}
	moves := func(version string, phase towpath.PromotionPhase) towpath.Promotion {
		t.Helper()
		_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: version})
		must(t, 0, err)
		return h.promotion("dev", version, phase)
	}
	publish("local", "1.0.0") // by an admin, who opens it by that

	mal := towpath.Actor{Account: "mal", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleReleaser, Project: shop}}}
	h.by = &mal
	publish("eu-2", "1.1.0")
	proposes("eu-2")
	if p := moves("1.0.0", towpath.PromotionDenied); !strings.Contains(p.Reason, "opened in place eu-2") {
		t.Errorf("denied because %s", p.Reason)
	}
	publish("local", "1.2.0")
	proposes("local")
	moves("1.2.0", towpath.PromotionSucceeded)
	h.runs("dev", "1.2.0")

	publish("eu-2", "1.3.0") // what runs is not moved
	if p := h.status("dev").Proposed; p != nil {
		t.Errorf("it proposes %+v", p)
	}
	if p := moves("1.3.0", towpath.PromotionDenied); !strings.Contains(p.Reason, "can't be moved") {
		t.Errorf("denied because %s", p.Reason)
	}
}

// TestServer_OpensElsewhere_AfterThePlan: what was planned for the place that it was
// opened in before is not deployed into another one.
func TestServer_OpensElsewhere_AfterThePlan(t *testing.T) {
	h := newHarness(t)
	h.dev, h.gates = towpath.PromotionManual, towpath.GateRules{Checks: []string{"ci"}}
	h.publish("1.0.0", "one")
	_, err := h.svc.Promotions.Request(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.0.0"})
	must(t, 0, err)
	h.promotion("dev", "1.0.0", towpath.PromotionWaiting)
	h.place = "eu-2"
	h.publish("1.1.0", "two") // by an admin, who opens it there by that
	_, err = h.svc.Promotions.PostCheck(t.Context(), h.ana, promote.CheckRequest{Project: shop, Release: "1.0.0", Environment: "dev", Key: "ci", State: towpath.CheckSuccess})
	must(t, 0, err)
	if p := h.promotion("dev", "1.0.0", towpath.PromotionDenied); !strings.Contains(p.Reason, "opened in place eu-2") {
		t.Errorf("denied because %s", p.Reason)
	}
}

// TestServer_RefusesForgedRules: what is read before an environment is opened says
// only what a towpath.yaml may say, however the release was made.
func TestServer_RefusesForgedRules(t *testing.T) {
	h := newHarness(t)
	h.by = &towpath.Actor{Account: "mal", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleReleaser, Project: shop}}}
	refused := func(why string) {
		t.Helper()
		if _, err := h.offer("1.0.0", "one"); towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	h.regions = map[towpath.EnvironmentName]towpath.Region{"dev": "eu-west-1\npromotion: manual\ngates: approvals\x1b[8m"}
	refused("environments.dev.region")
	h.regions, h.retention.Age = nil, math.MaxInt64
	refused("environments.dev.retention.age")
	h.retention.Age = 0
	h.objectives = []towpath.Objective{{Name: "up\x00", Target: 0.9}}
	refused("control character")
	h.objectives, h.ref = nil, "main\x1b[8m"
	refused("no branch")
	h.ref = ""
	must2(t)(h.offer("1.0.0", "one"))
}

// TestServer_OpensByPublishingAgain: an admin who publishes what a CI account has
// published opens what it proposes, as by publishing it first.
func TestServer_OpensByPublishingAgain(t *testing.T) {
	h := newHarness(t)
	by := &towpath.Actor{Account: "ci", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleReleaser, Project: shop}}}
	h.by = by
	content, request := h.encode("1.0.0", "one")
	if p := must2(t)(h.submit(content, request)); !p.Created {
		t.Fatal("it was there")
	}
	if p := must2(t)(h.submit(content, request)); p.Created || h.status("dev").Proposed == nil {
		t.Fatalf("the same again made %+v", p)
	}
	h.by = &towpath.Actor{Account: "pia", Token: "tok_2", Grants: []towpath.Grant{{Role: towpath.RoleReleaser, Project: shop}, {Role: towpath.RoleAdmin, Place: "local"}}}
	if p := must2(t)(h.submit(content, request)); p.Created {
		t.Error("it is another candidate")
	}
	h.runs("dev", "1.0.0")
	for _, name := range []towpath.EnvironmentName{"dev", "staging", "prod"} {
		if st := h.status(name); st.Proposed != nil {
			t.Errorf("%s is only proposed", name)
		}
	}
	must2(t)(h.submit(content, request))
	if n := len(h.events("environment.opened")); n != 3 {
		t.Errorf("%d environments were opened", n)
	}
}

// TestServer_BoundsEnvironments: who may only publish can't fill a project, nor keep
// an admin from new environments; and what is only proposed keeps nothing.
func TestServer_BoundsEnvironments(t *testing.T) {
	h := newHarness(t)
	releaser := &towpath.Actor{Account: "mal", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleReleaser, Project: shop}}}
	h.by = releaser
	more := func(from, n int) {
		h.more = nil
		for i := range n {
			h.more = append(h.more, towpath.EnvironmentSpec{
				Name: towpath.EnvironmentName(fmt.Sprintf("e%d", from+i)), Promotion: towpath.PromotionManual, Place: "local",
				Retention: towpath.RetentionRule{Age: towpath.MaxRetention},
			})
		}
	}
	more(0, 97)
	must2(t)(h.offer("1.0.0", "one"))
	more(97, 97)
	must2(t)(h.offer("1.1.0", "two"))
	more(194, 4)
	if _, err := h.offer("1.2.0", "three"); towpath.KindOf(err) != towpath.KindExhausted {
		t.Errorf("the 201st environment: %v", err)
	}
	more(194, 3)
	must2(t)(h.offer("1.3.0", "four"))
	must2(t)(h.offer("1.4.0", "five"))
	h.by = nil
	more(197, 1)
	must2(t)(h.offer("1.5.0", "six"))
	if st := h.status("e197"); st.Proposed != nil {
		t.Error("the admin's is only proposed")
	}
}

// TestServer_ProposalsKeepNothing: how long releases are kept is said by rules that
// somebody has let in.
func TestServer_ProposalsKeepNothing(t *testing.T) {
	h := newHarness(t)
	h.by = &towpath.Actor{Account: "mal", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleReleaser, Project: shop}}}
	h.retention.Age = towpath.MaxRetention
	one := h.publish("1.0.0", "one")
	h.publish("1.1.0", "two")
	h.promotion("dev", "1.1.0", towpath.PromotionPlanning) // which needs it
	later := h.laterReleases(time.Now().AddDate(1, 0, 0))
	collects := func(want ...towpath.Digest) {
		t.Helper()
		got, err := later.Collect(t.Context(), h.ana, shop, true)
		if err != nil || !slices.Equal(got.Releases, want) {
			t.Errorf("%v would go, want %v: %v", got.Releases, want, err)
		}
	}
	collects(one.Release)
	must(t, 0, h.svc.Promotions.Open(t.Context(), h.ana, shop, "dev", h.status("dev").Proposed.PolicyVersion))
	collects()
}
