package server

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/towpath"
)

// TestToken_EndsWithTheOneItIsMadeWith: a token of an hour can't be made one that
// lasts longer, unless by an admin.
func TestToken_EndsWithTheOneItIsMadeWith(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		with := func(name towpath.AccountName, role towpath.Role) towpath.Actor {
			t.Helper()
			made, err := h.s.Account(ctx, name, nil, []towpath.Role{role}, time.Hour)
			must(t, 0, err)
			actor, err := h.s.accounts.Authenticate(ctx, made.Secret)
			return must(t, actor, err)
		}
		robot, admin := with("robot", towpath.RoleReleaser), with("root", towpath.RoleAdmin)
		own, err := h.s.accounts.Tokens(ctx, robot, "")
		must(t, 0, err)
		create := func(as towpath.Actor, of towpath.AccountName, ttl time.Duration) (towpath.Token, error) {
			made, err := h.s.accounts.CreateToken(ctx, as, account.TokenRequest{Account: of, Name: "more", TTL: ttl})
			return made.Token, err
		}
		lives := func(x towpath.Token) time.Duration { return x.ExpiresAt.Sub(x.CreatedAt).Round(time.Minute) }

		if x, err := create(robot, "", 0); err != nil || !x.ExpiresAt.Equal(own[0].ExpiresAt) {
			t.Errorf("without a time it ends at %s, not at %s: %v", x.ExpiresAt, own[0].ExpiresAt, err)
		}
		if x, err := create(robot, "", time.Minute); err != nil || lives(x) != time.Minute {
			t.Errorf("a shorter one: %+v, %v", x, err)
		}
		if _, err := create(robot, "", 2*time.Hour); towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("one that lasts longer: %v", err)
		}
		if all, err := h.s.accounts.Tokens(ctx, robot, ""); err != nil || len(all) != 3 {
			t.Errorf("%+v, %v", all, err)
		}
		for _, of := range []towpath.AccountName{"robot", "root"} {
			if x, err := create(admin, of, 0); err != nil || lives(x) != 90*24*time.Hour {
				t.Errorf("an admin's for %s: %+v, %v", of, x, err)
			}
		}
	})
}
