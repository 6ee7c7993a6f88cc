package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

// aPromotion is the part of a path that names a promotion, and a reason.
type aPromotion struct {
	ID   towpath.PromotionID `path:"promotion"`
	Body api.Reason
}

func (a *API) promotionRoutes() {
	svc := a.deps.Services.Promotions
	type plan struct {
		InProject
		Environment towpath.EnvironmentName `path:"environment"`
		Release     string                  `query:"release" required:"true"`
		Evidence    bool                    `query:"evidence" doc:"only the verdicts of the gates that judge what is said about the release: no agent is asked for a plan, and whoever reads releases may ask"`
	}
	register(a, route{
		id: "plan", method: http.MethodGet, path: "/projects/{project}/environments/{environment}/plan", tag: "promotions",
		policy: Authenticated, summary: "Say what a promotion would meet and change",
	}, func(ctx context.Context, actor towpath.Actor, in *plan) (promote.Preview, error) {
		r := promote.Request{Project: in.Project, Release: in.Release, Environment: in.Environment}
		if in.Evidence {
			return svc.Evidence(ctx, actor, r)
		}
		return svc.Preview(ctx, actor, r)
	})
	type request struct {
		InProject
		Body api.Promote
	}
	register(a, route{
		id: "promote", method: http.MethodPost, path: "/projects/{project}/promotions", tag: "promotions", policy: Authenticated,
		summary: "Ask for a release to be moved into an environment", status: http.StatusCreated,
	}, func(ctx context.Context, actor towpath.Actor, in *request) (towpath.Promotion, error) {
		return svc.Request(ctx, actor, promote.Request{Project: in.Project, Release: in.Body.Release, Environment: in.Body.Environment})
	})
	type list struct {
		InProject
		Paging
		Environment towpath.EnvironmentName `query:"environment" doc:"empty: all"`
		Open        bool                    `query:"open" doc:"only those that have not ended"`
	}
	register(a, route{
		id: "list-promotions", method: http.MethodGet, path: "/projects/{project}/promotions", tag: "promotions", policy: Authenticated,
		summary: "List promotions, newest first",
	}, func(ctx context.Context, actor towpath.Actor, in *list) (promote.List, error) {
		return svc.List(ctx, actor, promote.Filter{
			Project: in.Project, Environment: in.Environment, Open: in.Open, Limit: in.Limit, Cursor: in.Cursor,
		})
	})
	type one struct {
		ID towpath.PromotionID `path:"promotion"`
	}
	register(a, route{
		id: "get-promotion", method: http.MethodGet, path: "/promotions/{promotion}", tag: "promotions", policy: Authenticated,
		summary: "Show a promotion",
	}, func(ctx context.Context, actor towpath.Actor, in *one) (towpath.Promotion, error) {
		return svc.Get(ctx, actor, in.ID)
	})
	decide := func(verb, summary string, h func(context.Context, towpath.Actor, *aPromotion) (towpath.Promotion, error)) {
		register(a, route{
			id: verb, method: http.MethodPost, path: "/promotions/{promotion}/" + verb, tag: "promotions", policy: Authenticated,
			summary: summary,
		}, h)
	}
	decide("approve", "Agree to a promotion", func(ctx context.Context, actor towpath.Actor, in *aPromotion) (towpath.Promotion, error) {
		return svc.Approve(ctx, actor, in.ID, true, in.Body.Reason)
	})
	decide("reject", "Refuse a promotion", func(ctx context.Context, actor towpath.Actor, in *aPromotion) (towpath.Promotion, error) {
		return svc.Approve(ctx, actor, in.ID, false, in.Body.Reason)
	})
	decide("cancel", "Withdraw a promotion", func(ctx context.Context, actor towpath.Actor, in *aPromotion) (towpath.Promotion, error) {
		return svc.Cancel(ctx, actor, in.ID, in.Body.Reason)
	})
	type check struct {
		InProject
		Body api.PostCheck
	}
	register(a, route{
		id: "post-check", method: http.MethodPost, path: "/projects/{project}/checks", tag: "promotions", policy: Authenticated,
		summary: "Post the status of an external check",
	}, func(ctx context.Context, actor towpath.Actor, in *check) (towpath.Check, error) {
		return svc.PostCheck(ctx, actor, promote.CheckRequest{
			Project: in.Project, Release: in.Body.Release, Environment: in.Body.Environment, Key: in.Body.Key,
			State: in.Body.State, URL: in.Body.URL, Description: in.Body.Description,
		})
	})
}
