package server

import (
	"slices"
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_ARoleHeldElsewhereApprovesNothing: who may approve as an operator is no
// admin there for being one at a place.
func TestServer_ARoleHeldElsewhereApprovesNothing(t *testing.T) {
	ctx := t.Context()
	h := newHarness(t)
	h.gates = towpath.GateRules{Approvals: &towpath.ApprovalRule{Count: 1, Roles: []towpath.Role{towpath.RoleAdmin}}}
	h.publish("1.0.0", "one")
	p := h.promotion("dev", "1.0.0", towpath.PromotionWaiting)
	operator := towpath.Grant{Role: towpath.RoleOperator, Project: shop}
	for _, admin := range []towpath.Grant{
		{Role: towpath.RoleAdmin, Place: "edge"}, {Role: towpath.RoleAdmin, Place: "local"}, {Role: towpath.RoleAdmin, Project: shop, Environment: "staging"},
	} {
		bob := towpath.Actor{Account: "bob", Token: "tok_1", Grants: []towpath.Grant{operator, admin}}
		if _, err := h.svc.Promotions.Approve(ctx, bob, p.ID, true, ""); towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("approved by an admin of %+v: %v", admin, err)
		}
	}
	bob := towpath.Actor{Account: "bob", Token: "tok_1", Grants: []towpath.Grant{operator, {Role: towpath.RoleAdmin, Project: shop}}}
	p, err := h.svc.Promotions.Approve(ctx, bob, p.ID, true, "")
	must(t, p, err)
	if got := p.Approvals[len(p.Approvals)-1].Roles; !slices.Equal(got, []towpath.Role{towpath.RoleOperator, towpath.RoleAdmin}) {
		t.Errorf("it was given as %v", got)
	}
	h.runs("dev", "1.0.0")
}
