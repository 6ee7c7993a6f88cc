package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
)

// Replication keeps copies of releases in other registries.
type Replication interface {
	Add(ctx context.Context, actor towpath.Actor, r towpath.ReplicationRule) (towpath.ReplicationRule, error)
	Remove(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, name towpath.ReplicationName, abandon bool) error
	List(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]replication.Status, error)
}

func (a *API) replicationRoutes() {
	const path = "/projects/{project}/replications"
	svc := a.deps.Services.Replication
	register(a, route{
		id: "list-replications", method: http.MethodGet, path: path, tag: "registry", policy: Authenticated,
		summary: "List the registries that releases are copied to, and how far each is behind",
	}, func(ctx context.Context, actor towpath.Actor, in *InProject) (api.Replications, error) {
		items, err := svc.List(ctx, actor, in.Project)
		if items == nil {
			items = []replication.Status{}
		}
		return api.Replications{Items: items}, err
	})
	type add struct {
		InProject
		Body api.PostReplication
	}
	register(a, route{
		id: "add-replication", method: http.MethodPost, path: path, tag: "registry", policy: Authenticated,
		summary: "Have releases copied to another registry", status: http.StatusCreated,
	}, func(ctx context.Context, actor towpath.Actor, in *add) (towpath.ReplicationRule, error) {
		return svc.Add(ctx, actor, towpath.ReplicationRule{
			Project: in.Project, Name: in.Body.Name, To: in.Body.To, On: in.Body.On, Account: in.Body.Account, Region: in.Body.Region,
			PlainHTTP: in.Body.PlainHTTP, Place: in.Body.Place.Rule(),
		})
	})
	type remove struct {
		InProject
		Name    towpath.ReplicationName `path:"name"`
		Abandon bool                    `query:"abandon" doc:"end the place of releases at once: what is only there is lost"`
	}
	registerDone(a, route{
		id: "remove-replication", method: http.MethodDelete, path: path + "/{name}", tag: "registry", policy: Authenticated,
		summary: "End a rule of replication; what was copied stays, and what is only there is brought back first",
	}, func(ctx context.Context, actor towpath.Actor, in *remove) error {
		return svc.Remove(ctx, actor, in.Project, in.Name, in.Abandon)
	})
}
