package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// InEnvironment is the part of a path that names an environment.
type InEnvironment struct {
	InProject
	Environment towpath.EnvironmentName `path:"environment"`
}

func (a *API) environmentRoutes() {
	promotions := a.deps.Services.Promotions
	type status struct {
		InProject
		Environment towpath.EnvironmentName `query:"environment" doc:"empty: all, in upstream order"`
	}
	register(a, route{
		id: "status", method: http.MethodGet, path: "/projects/{project}/status", tag: "environments", policy: Authenticated,
		summary: "Say what runs where",
	}, func(ctx context.Context, actor towpath.Actor, in *status) (api.Status, error) {
		items, err := a.deps.Services.Inventory.Status(ctx, actor, in.Project, in.Environment)
		if items == nil {
			items = []inventory.Status{}
		}
		return api.Status{Environments: items}, err
	})
	register(a, route{
		id: "drift", method: http.MethodGet, path: "/projects/{project}/drift", tag: "environments", policy: Authenticated,
		summary: "Say how what runs differs from what was deployed",
	}, func(ctx context.Context, actor towpath.Actor, in *status) (inventory.DriftReport, error) {
		return a.deps.Services.Inventory.Drift(ctx, actor, in.Project, in.Environment)
	})
	type because struct {
		InEnvironment
		Body api.Reason
	}
	registerDone(a, route{
		id: "hold", method: http.MethodPost, path: "/projects/{project}/environments/{environment}/hold", tag: "environments",
		policy: Authenticated, summary: "Stop automatic promotion into an environment",
	}, func(ctx context.Context, actor towpath.Actor, in *because) error {
		return promotions.Hold(ctx, actor, in.Project, in.Environment, in.Body.Reason)
	})
	registerDone(a, route{
		id: "unhold", method: http.MethodPost, path: "/projects/{project}/environments/{environment}/unhold", tag: "environments",
		policy: Authenticated, summary: "Lift the hold on an environment",
	}, func(ctx context.Context, actor towpath.Actor, in *because) error {
		return promotions.Unhold(ctx, actor, in.Project, in.Environment, in.Body.Reason)
	})
	type opened struct {
		InEnvironment
		Body api.OpenEnvironment
	}
	registerDone(a, route{
		id: "open-environment", method: http.MethodPost, path: "/projects/{project}/environments/{environment}/open", tag: "environments",
		policy: Authenticated, summary: "Let an environment run in its place, by the rules that a release proposes",
	}, func(ctx context.Context, actor towpath.Actor, in *opened) error {
		return promotions.Open(ctx, actor, in.Project, in.Environment, in.Body.PolicyVersion)
	})
	type freeze struct{ Body api.PostFreeze }
	register(a, route{
		id: "freeze", method: http.MethodPost, path: "/freezes", tag: "environments", policy: Authenticated,
		summary: "Stop promotions of a project, an environment or all", status: http.StatusCreated,
	}, func(ctx context.Context, actor towpath.Actor, in *freeze) (towpath.Freeze, error) {
		return promotions.Freeze(ctx, actor, promote.FreezeRequest{
			Project: in.Body.Project, Environment: in.Body.Environment, Reason: in.Body.Reason,
			From: in.Body.From, Until: in.Body.Until, Emergency: in.Body.Emergency,
		})
	})
	type unfreeze struct {
		ID   towpath.FreezeID `path:"freeze"`
		Body api.Reason
	}
	registerDone(a, route{
		id: "unfreeze", method: http.MethodPost, path: "/freezes/{freeze}/unfreeze", tag: "environments", policy: Authenticated,
		summary: "Lift a freeze",
	}, func(ctx context.Context, actor towpath.Actor, in *unfreeze) error {
		return promotions.Unfreeze(ctx, actor, in.ID, in.Body.Reason)
	})
	type freezes struct {
		Project towpath.ProjectName `query:"project" doc:"empty: those of all projects"`
	}
	register(a, route{
		id: "list-freezes", method: http.MethodGet, path: "/freezes", tag: "environments", policy: Authenticated,
		summary: "List freezes in force or to come",
	}, func(ctx context.Context, actor towpath.Actor, in *freezes) (api.Freezes, error) {
		items, err := promotions.Freezes(ctx, actor, in.Project)
		if items == nil {
			items = []towpath.Freeze{}
		}
		return api.Freezes{Items: items}, err
	})
}
