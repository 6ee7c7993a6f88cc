package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func (a *API) deploymentRoutes() {
	svc := a.deps.Services.Deploys
	type rollback struct {
		InEnvironment
		Body api.Rollback
	}
	register(a, route{
		id: "rollback", method: http.MethodPost, path: "/projects/{project}/environments/{environment}/rollback", tag: "deployments",
		policy: Authenticated, summary: "Take an environment back to an earlier release",
	}, func(ctx context.Context, actor towpath.Actor, in *rollback) (deploy.RollbackResult, error) {
		return svc.Rollback(ctx, actor, deploy.RollbackRequest{
			Project: in.Project, Environment: in.Environment, To: in.Body.To, Reason: in.Body.Reason, DryRun: in.Body.DryRun,
		})
	})
	type repair struct {
		InEnvironment
		Body api.Repair
	}
	register(a, route{
		id: "repair", method: http.MethodPost, path: "/projects/{project}/environments/{environment}/repair", tag: "deployments",
		policy: Authenticated, summary: "Replace what differs from what was deployed by the same again",
	}, func(ctx context.Context, actor towpath.Actor, in *repair) (towpath.Deployment, error) {
		return svc.Repair(ctx, actor, deploy.RepairRequest{
			Project: in.Project, Environment: in.Environment, Component: in.Body.Component, Reason: in.Body.Reason, Force: in.Body.Force,
		})
	})
	type list struct {
		InProject
		Paging
		Environment towpath.EnvironmentName `query:"environment" doc:"empty: all"`
	}
	register(a, route{
		id: "list-deployments", method: http.MethodGet, path: "/projects/{project}/deployments", tag: "deployments", policy: Authenticated,
		summary: "List deployments, newest first",
	}, func(ctx context.Context, actor towpath.Actor, in *list) (deploy.List, error) {
		return svc.List(ctx, actor, deploy.Filter{Project: in.Project, Environment: in.Environment, Limit: in.Limit, Cursor: in.Cursor})
	})
	type one struct {
		ID towpath.DeploymentID `path:"deployment"`
	}
	register(a, route{
		id: "get-deployment", method: http.MethodGet, path: "/deployments/{deployment}", tag: "deployments", policy: Authenticated,
		summary: "Show a deployment and its steps",
	}, func(ctx context.Context, actor towpath.Actor, in *one) (towpath.Deployment, error) {
		return svc.Get(ctx, actor, in.ID)
	})
	register(a, route{
		id: "verify-environment", method: http.MethodPost, path: "/projects/{project}/environments/{environment}/verify", tag: "deployments",
		policy: Authenticated, summary: "Run the verification jobs of what an environment runs again",
	}, func(ctx context.Context, actor towpath.Actor, in *InEnvironment) (deploy.Verification, error) {
		return svc.Verify(ctx, actor, in.Project, in.Environment)
	})
	type verification struct {
		InEnvironment
		ID towpath.PromotionID `path:"verification"`
	}
	register(a, route{
		id: "get-verification", method: http.MethodGet, path: "/projects/{project}/environments/{environment}/verifications/{verification}",
		tag: "deployments", policy: Authenticated, summary: "Show what became of a verification",
	}, func(ctx context.Context, actor towpath.Actor, in *verification) (deploy.Verification, error) {
		return svc.Verification(ctx, actor, in.Project, in.Environment, in.ID)
	})
	type steer struct {
		InEnvironment
		Body api.Steer
	}
	register(a, route{
		id: "steer-rollout", method: http.MethodPost, path: "/projects/{project}/environments/{environment}/rollout", tag: "deployments",
		policy: Authenticated, summary: "Pause the rollout that is under way, or let it go on",
	}, func(ctx context.Context, actor towpath.Actor, in *steer) (towpath.Deployment, error) {
		return svc.Steer(ctx, actor, deploy.SteerRequest{
			Project: in.Project, Environment: in.Environment, Component: in.Body.Component, Action: deploy.Steering(in.Body.Action), Reason: in.Body.Reason,
			WithoutEvidence: in.Body.WithoutEvidence,
		})
	})
	type judged struct {
		ID        towpath.DeploymentID  `path:"deployment"`
		Component towpath.ComponentName `path:"component"`
	}
	register(a, route{
		id: "get-analysis", method: http.MethodGet, path: "/deployments/{deployment}/analysis/{component}", tag: "deployments",
		policy: Authenticated, summary: "Show how a rollout is judged, with all that was counted",
	}, func(ctx context.Context, actor towpath.Actor, in *judged) (analysis.Judgement, error) {
		return svc.Analysis(ctx, actor, in.ID, in.Component)
	})
	type resolve struct {
		ID   towpath.OperationID `path:"operation"`
		Body api.Resolve
	}
	registerDone(a, route{
		id: "resolve-operation", method: http.MethodPost, path: "/operations/{operation}/resolve", tag: "deployments", policy: Authenticated,
		summary: "Decide an operation whose outcome nobody could tell",
	}, func(ctx context.Context, actor towpath.Actor, in *resolve) error {
		return svc.Resolve(ctx, actor, in.ID, in.Body.Again, in.Body.Reason)
	})
}
