package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// InProject is the part of a path that names a project.
type InProject struct {
	Project towpath.ProjectName `path:"project"`
}

// Paging is the page that a list is asked for.
type Paging struct {
	Limit  int    `query:"limit" minimum:"0" maximum:"500" doc:"0: the default of 50"`
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before"`
}

// none is the input of a route without any.
type none struct{}

func (a *API) projectRoutes() {
	svc := a.deps.Services.Projects
	register(a, route{
		id: "list-projects", method: http.MethodGet, path: "/projects", tag: "projects", policy: Authenticated,
		summary: "List the projects you may see",
	}, func(ctx context.Context, actor towpath.Actor, _ *none) (api.Projects, error) {
		items, err := svc.List(ctx, actor)
		return api.Projects{Items: items}, err
	})
	type in struct{ Body api.RegisterProject }
	register(a, route{
		id: "register-project", method: http.MethodPost, path: "/projects", tag: "projects", policy: Authenticated,
		summary: "Register a project", status: http.StatusCreated,
	}, func(ctx context.Context, actor towpath.Actor, in *in) (towpath.Project, error) {
		return svc.Register(ctx, actor, in.Body.Name, in.Body.Repository)
	})
}
