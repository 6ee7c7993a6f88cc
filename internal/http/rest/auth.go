package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

type actorKey struct{}

// Actor is who makes the request, with the request's ID; it is empty on public
// routes.
func Actor(ctx context.Context) towpath.Actor {
	actor, _ := ctx.Value(actorKey{}).(towpath.Actor)
	actor.RequestID = requestID(ctx)
	return actor
}

// authenticate takes bearer tokens from the Authorization header only: no
// cookie and no query, so that no other site can send one.
func (r *router) authenticate(req *http.Request) (towpath.Actor, error) {
	scheme, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > 512 {
		return towpath.Actor{}, towpath.E(towpath.KindUnauthenticated, "rest.authenticate", "the request has no bearer token").
			WithHint("send the header Authorization: Bearer with a token")
	}
	actor, err := r.deps.Services.Accounts.Authenticate(req.Context(), secret)
	if err != nil {
		return towpath.Actor{}, err
	}
	actor.RequestID = requestID(req.Context())
	return actor, nil
}
