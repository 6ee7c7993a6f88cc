package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// Registry has the rules of the OCI registry, which is served beside the API.
type Registry interface {
	TagRules(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]string, error)
	SetTagRules(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, patterns []string) error
}

func (a *API) registryRoutes() {
	const path = "/projects/{project}/tag-rules"
	svc := a.deps.Services.Registry
	register(a, route{
		id: "get-tag-rules", method: http.MethodGet, path: path, tag: "registry", policy: Authenticated,
		summary: "Get the tags of the project's repositories that never move",
	}, func(ctx context.Context, actor towpath.Actor, in *InProject) (api.TagRules, error) {
		patterns, err := svc.TagRules(ctx, actor, in.Project)
		if patterns == nil {
			patterns = []string{}
		}
		return api.TagRules{Immutable: patterns}, err
	})
	type in struct {
		InProject
		Body api.TagRules
	}
	registerDone(a, route{
		id: "set-tag-rules", method: http.MethodPut, path: path, tag: "registry", policy: Authenticated,
		summary: "Say which tags of the project's repositories never move",
	}, func(ctx context.Context, actor towpath.Actor, in *in) error {
		return svc.SetTagRules(ctx, actor, in.Project, in.Body.Immutable)
	})
}
