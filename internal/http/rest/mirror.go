package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/towpath"
)

// Mirror brings what releases pin in other registries into ours.
type Mirror interface {
	Status(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) (mirror.Status, error)
	SetSources(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, sources []towpath.MirrorSource) error
}

func (a *API) mirrorRoutes() {
	const path = "/projects/{project}/mirror"
	svc := a.deps.Services.Mirror
	register(a, route{
		id: "show-mirror", method: http.MethodGet, path: path, tag: "registry", policy: Authenticated,
		summary: "Show what the project's releases take from other registries, where it is in ours, and how far each copy is",
	}, func(ctx context.Context, actor towpath.Actor, in *InProject) (mirror.Status, error) {
		return svc.Status(ctx, actor, in.Project)
	})
	type set struct {
		InProject
		Body api.PutMirrorSources
	}
	registerDone(a, route{
		id: "set-mirror-sources", method: http.MethodPut, path: path + "/sources", tag: "registry", policy: Authenticated,
		summary: "Say from which registries the project's images are mirrored",
	}, func(ctx context.Context, actor towpath.Actor, in *set) error {
		return svc.SetSources(ctx, actor, in.Project, in.Body.Sources)
	})
}
