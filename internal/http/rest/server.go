package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func (a *API) serverRoutes() {
	register(a, route{
		id: "get-server", method: http.MethodGet, path: "/server", tag: "server", policy: Public,
		summary: "Get the server's version and clock",
	}, func(context.Context, towpath.Actor, *none) (api.Server, error) {
		return api.Server{Version: a.cfg.Version, Time: a.cfg.Now().UTC()}, nil
	})
	register(a, route{
		id: "get-me", method: http.MethodGet, path: "/me", tag: "server", policy: Authenticated,
		summary: "Get the account that the token belongs to",
	}, func(_ context.Context, actor towpath.Actor, _ *none) (api.Me, error) {
		grants := actor.Grants
		if grants == nil {
			grants = []towpath.Grant{}
		}
		return api.Me{Account: actor.Account, Token: actor.Token, Grants: grants}, nil
	})
}
