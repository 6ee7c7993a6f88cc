package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// AnAccount is the part of a path that names an account.
type AnAccount struct {
	Account towpath.AccountName `path:"account"`
}

func (a *API) accountRoutes() {
	svc := a.deps.Services.Accounts
	register(a, route{
		id: "list-accounts", method: http.MethodGet, path: "/accounts", tag: "accounts", policy: Authenticated,
		summary: "List accounts",
	}, func(ctx context.Context, actor towpath.Actor, _ *none) (api.Accounts, error) {
		items, err := svc.List(ctx, actor)
		return api.Accounts{Items: items}, err
	})
	type create struct{ Body api.CreateAccount }
	register(a, route{
		id: "create-account", method: http.MethodPost, path: "/accounts", tag: "accounts", policy: Authenticated,
		summary: "Create an account", status: http.StatusCreated,
	}, func(ctx context.Context, actor towpath.Actor, in *create) (towpath.Account, error) {
		return svc.Create(ctx, actor, in.Body.Name, in.Body.Emails)
	})
	type identity struct {
		AnAccount
		Body api.AddIdentity
	}
	register(a, route{
		id: "add-identity", method: http.MethodPost, path: "/accounts/{account}/identities", tag: "accounts", policy: Authenticated,
		summary: "Map a commit identity to an account",
	}, func(ctx context.Context, actor towpath.Actor, in *identity) (towpath.Account, error) {
		return svc.AddIdentity(ctx, actor, in.Account, in.Body.Email)
	})
	type grant struct {
		AnAccount
		Body towpath.Grant
	}
	register(a, route{
		id: "grant", method: http.MethodPost, path: "/accounts/{account}/grant", tag: "accounts", policy: Authenticated,
		summary: "Give an account a role",
	}, func(ctx context.Context, actor towpath.Actor, in *grant) (towpath.Account, error) {
		return svc.Grant(ctx, actor, in.Account, in.Body)
	})
	register(a, route{
		id: "revoke", method: http.MethodPost, path: "/accounts/{account}/revoke", tag: "accounts", policy: Authenticated,
		summary: "Take a role from an account",
	}, func(ctx context.Context, actor towpath.Actor, in *grant) (towpath.Account, error) {
		return svc.Revoke(ctx, actor, in.Account, in.Body)
	})
	a.tokenRoutes()
}

func (a *API) tokenRoutes() {
	svc := a.deps.Services.Accounts
	type list struct {
		Account towpath.AccountName `query:"account" doc:"empty: your own"`
	}
	register(a, route{
		id: "list-tokens", method: http.MethodGet, path: "/tokens", tag: "accounts", policy: Authenticated,
		summary: "List an account's tokens",
	}, func(ctx context.Context, actor towpath.Actor, in *list) (api.Tokens, error) {
		name := in.Account
		if name == "" {
			name = actor.Account
		}
		items, err := svc.Tokens(ctx, actor, name)
		if items == nil {
			items = []towpath.Token{}
		}
		return api.Tokens{Items: items}, err
	})
	type create struct{ Body api.CreateToken }
	register(a, route{
		id: "create-token", method: http.MethodPost, path: "/tokens", tag: "accounts", policy: Authenticated,
		summary: "Create a token; its secret is shown in this answer only", status: http.StatusCreated, secret: true,
	}, func(ctx context.Context, actor towpath.Actor, in *create) (account.NewToken, error) {
		return svc.CreateToken(ctx, actor, account.TokenRequest{
			Account: in.Body.Account, Name: in.Body.Name, TTL: time.Duration(in.Body.TTLSeconds) * time.Second,
		})
	})
	type revoke struct {
		ID towpath.TokenID `path:"token"`
	}
	registerDone(a, route{
		id: "revoke-token", method: http.MethodPost, path: "/tokens/{token}/revoke", tag: "accounts", policy: Authenticated,
		summary: "Revoke a token",
	}, func(ctx context.Context, actor towpath.Actor, in *revoke) error {
		return svc.RevokeToken(ctx, actor, in.ID)
	})
}
