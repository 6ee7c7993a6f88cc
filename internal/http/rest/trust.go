package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

func (a *API) trustRoutes() {
	svc := a.deps.Services.Trust
	type list struct {
		Project     towpath.ProjectName     `query:"project" doc:"empty: all that you may see"`
		Environment towpath.EnvironmentName `query:"environment" doc:"only those that count in it"`
	}
	register(a, route{
		id: "list-trusted-keys", method: http.MethodGet, path: "/trusted-keys", tag: "trust", policy: Authenticated,
		summary: "List the keys whose signatures are believed",
	}, func(ctx context.Context, actor towpath.Actor, in *list) (api.TrustedKeys, error) {
		items, err := svc.List(ctx, actor, in.Project, in.Environment)
		if items == nil {
			items = []towpath.TrustedKey{}
		}
		return api.TrustedKeys{Items: items}, err
	})
	type add struct{ Body api.TrustKey }
	register(a, route{
		id: "trust-key", method: http.MethodPost, path: "/trusted-keys", tag: "trust", policy: Authenticated,
		summary: "Believe the signatures of a key", status: http.StatusCreated,
	}, func(ctx context.Context, actor towpath.Actor, in *add) (towpath.TrustedKey, error) {
		return svc.Add(ctx, actor, trust.AddRequest{
			Name: in.Body.Name, PublicKey: in.Body.PublicKey, Project: in.Body.Project, Environment: in.Body.Environment,
			Types: in.Body.Types, NotBefore: in.Body.NotBefore, NotAfter: in.Body.NotAfter,
		})
	})
	type expire struct {
		Name towpath.KeyName `path:"key"`
		Body api.ExpireKey
	}
	register(a, route{
		id: "expire-key", method: http.MethodPost, path: "/trusted-keys/{key}/expire", tag: "trust", policy: Authenticated,
		summary: "Say until when signatures of a key count",
	}, func(ctx context.Context, actor towpath.Actor, in *expire) (towpath.TrustedKey, error) {
		return svc.Expire(ctx, actor, in.Name, in.Body.At)
	})
	type revoke struct {
		Name towpath.KeyName `path:"key"`
		Body api.RevokeKey
	}
	register(a, route{
		id: "revoke-key", method: http.MethodPost, path: "/trusted-keys/{key}/revoke", tag: "trust", policy: Authenticated,
		summary: "Make everything that a key ever signed worthless; what only it signed is quarantined",
	}, func(ctx context.Context, actor towpath.Actor, in *revoke) (api.RevokedKey, error) {
		k, err := svc.Revoke(ctx, actor, in.Name, in.Body.Reason, in.Body.Everywhere)
		if err != nil {
			return api.RevokedKey{}, err
		}
		return api.RevokedKey{TrustedKey: k, Affected: known(svc.Affected(ctx, actor, in.Name))}, nil
	})
	type key struct {
		Name towpath.KeyName `path:"key"`
	}
	register(a, route{
		id: "affected-by-key", method: http.MethodGet, path: "/trusted-keys/{key}/affected", tag: "trust", policy: Authenticated,
		summary: "Say what is quarantined for a revoked key, as far as you may see it",
	}, func(ctx context.Context, actor towpath.Actor, in *key) (towpath.Affected, error) {
		return svc.Affected(ctx, actor, in.Name)
	})
	type said struct {
		InProject
		Release     string                  `path:"release" doc:"digest, version, candidate, commit, or an unambiguous prefix of one"`
		Environment towpath.EnvironmentName `query:"environment" doc:"whose trusted keys count; empty: those of the project in any environment"`
	}
	register(a, route{
		id: "release-evidence", method: http.MethodGet, path: "/projects/{project}/releases/{release}/evidence", tag: "trust", policy: Authenticated,
		summary: "List the signed statements about a release, each verified",
	}, func(ctx context.Context, actor towpath.Actor, in *said) (trust.Evidence, error) {
		return svc.Evidence(ctx, actor, in.Project, in.Release, in.Environment)
	})
}
