package client

import (
	"context"
	"net/url"

	"github.com/towpath/towpath/internal/account"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func accountPath(name towpath.AccountName, rest string) string {
	return "/accounts/" + url.PathEscape(string(name)) + rest
}

// Accounts lists accounts.
func (c *Client) Accounts(ctx context.Context) ([]towpath.Account, error) {
	out, err := ask[api.Accounts](ctx, c, get("/accounts", nil))
	return out.Items, err
}

// CreateAccount makes an account.
func (c *Client) CreateAccount(ctx context.Context, r api.CreateAccount) (towpath.Account, error) {
	return ask[towpath.Account](ctx, c, post("/accounts", r))
}

// AddIdentity maps a commit identity to an account.
func (c *Client) AddIdentity(ctx context.Context, name towpath.AccountName, email string) (towpath.Account, error) {
	return ask[towpath.Account](ctx, c, post(accountPath(name, "/identities"), api.AddIdentity{Email: email}))
}

// Grant gives an account a role.
func (c *Client) Grant(ctx context.Context, name towpath.AccountName, g towpath.Grant) (towpath.Account, error) {
	return ask[towpath.Account](ctx, c, post(accountPath(name, "/grant"), g))
}

// Revoke takes a role from an account.
func (c *Client) Revoke(ctx context.Context, name towpath.AccountName, g towpath.Grant) (towpath.Account, error) {
	return ask[towpath.Account](ctx, c, post(accountPath(name, "/revoke"), g))
}

// Tokens lists an account's tokens; name empty is one's own.
func (c *Client) Tokens(ctx context.Context, name towpath.AccountName) ([]towpath.Token, error) {
	q := url.Values{}
	set(q, "account", name)
	out, err := ask[api.Tokens](ctx, c, get("/tokens", q))
	return out.Items, err
}

// CreateToken makes a token. Its secret is known from this answer only.
func (c *Client) CreateToken(ctx context.Context, r api.CreateToken) (account.NewToken, error) {
	return ask[account.NewToken](ctx, c, post("/tokens", r))
}

// RevokeToken revokes a token.
func (c *Client) RevokeToken(ctx context.Context, id towpath.TokenID) error {
	return c.tell(ctx, post("/tokens/"+url.PathEscape(string(id))+"/revoke", nil))
}
