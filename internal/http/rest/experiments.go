package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

func (a *API) experimentRoutes() {
	deploys, promotions := a.deps.Services.Deploys, a.deps.Services.Promotions
	const path = "/projects/{project}/environments/{environment}/experiments"
	type start struct {
		InEnvironment
		Body api.StartExperiment
	}
	register(a, route{
		id: "start-experiment", method: http.MethodPost, path: path, tag: "experiments", policy: Authenticated, status: http.StatusCreated,
		summary: "Ask for a release to run beside what an environment runs, for a while",
	}, func(ctx context.Context, actor towpath.Actor, in *start) (towpath.Promotion, error) {
		return promotions.Request(ctx, actor, promote.Request{
			Project: in.Project, Environment: in.Environment, Release: in.Body.Release, Experiment: &in.Body.Experiment,
		})
	})
	type last struct {
		InEnvironment
		Limit int `query:"limit" minimum:"0" maximum:"20" doc:"how many; 0: the last 20"`
	}
	register(a, route{
		id: "list-experiments", method: http.MethodGet, path: path, tag: "experiments", policy: Authenticated,
		summary: "List the last experiments of an environment with their reports, newest first",
	}, func(ctx context.Context, actor towpath.Actor, in *last) (deploy.ExperimentList, error) {
		return deploys.Experiments(ctx, actor, in.Project, in.Environment, in.Limit)
	})
	type one struct {
		ID towpath.DeploymentID `path:"deployment"`
	}
	register(a, route{
		id: "get-experiment", method: http.MethodGet, path: "/deployments/{deployment}/experiment", tag: "experiments", policy: Authenticated,
		summary: "Show an experiment with its report, and all that this is made of",
	}, func(ctx context.Context, actor towpath.Actor, in *one) (deploy.ExperimentRecord, error) {
		return deploys.ExperimentOf(ctx, actor, in.ID)
	})
	type stop struct {
		InEnvironment
		Body api.Reason
	}
	register(a, route{
		id: "stop-experiment", method: http.MethodPost, path: path + "/stop", tag: "experiments", policy: Authenticated,
		summary: "End the experiment that is under way; what ran before gets all of the traffic again",
	}, func(ctx context.Context, actor towpath.Actor, in *stop) (towpath.Promotion, error) {
		return promotions.StopExperiment(ctx, actor, in.Project, in.Environment, in.Body.Reason)
	})
	register(a, route{
		id: "promote-experiment", method: http.MethodPost, path: path + "/promote", tag: "experiments", policy: Authenticated,
		summary: "Promote the release of the last experiment, if its report says that it is the better one",
	}, func(ctx context.Context, actor towpath.Actor, in *InEnvironment) (towpath.Promotion, error) {
		x, err := deploys.Winner(ctx, actor, in.Project, in.Environment)
		if err != nil {
			return towpath.Promotion{}, err
		}
		return promotions.PromoteExperiment(ctx, actor, in.Project, in.Environment, x.Deployment)
	})
}
