package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

// Registry has the rules and the care of the OCI registry, which is served
// beside the API.
type Registry interface {
	TagRules(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) ([]string, error)
	SetTagRules(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, patterns []string) error
	Usage(ctx context.Context, actor towpath.Actor, p towpath.ProjectName) (registry.Usage, error)
	CollectGarbage(ctx context.Context, actor towpath.Actor, g registry.Garbage) (registry.Collected, error)
	Scrub(ctx context.Context, actor towpath.Actor, r registry.ScrubRequest) (registry.Scrubbed, error)
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
	a.registryCare()
}

// registryCare are routes that read all that there is, which takes its time. What
// is done again where it ended needs no idempotency key.
func (a *API) registryCare() {
	svc := a.deps.Services.Registry
	type usage struct {
		Project towpath.ProjectName `query:"project" doc:"only this one; default: all that you may pull from"`
	}
	register(a, route{
		id: "get-registry-usage", method: http.MethodGet, path: "/registry/usage", tag: "registry", policy: Authenticated,
		summary: "Say what the registry holds, and what could be given up", timeout: a.cfg.TransferTimeout,
	}, func(ctx context.Context, actor towpath.Actor, in *usage) (registry.Usage, error) {
		return svc.Usage(ctx, actor, in.Project)
	})
	type gc struct{ Body api.Garbage }
	register(a, route{
		id: "collect-garbage", method: http.MethodPost, path: "/registry/gc", tag: "registry", policy: Authenticated,
		summary: "Give up what nothing needs any more", exempt: true, timeout: a.cfg.TransferTimeout,
	}, func(ctx context.Context, actor towpath.Actor, in *gc) (registry.Collected, error) {
		return svc.CollectGarbage(ctx, actor, registry.Garbage{
			DryRun: in.Body.DryRun, UntaggedAge: time.Duration(in.Body.UntaggedSeconds) * time.Second,
		})
	})
	type scrub struct{ Body api.Scrub }
	register(a, route{
		id: "scrub-registry", method: http.MethodPost, path: "/registry/scrub", tag: "registry", policy: Authenticated,
		summary: "Read a part of what is stored and check it", exempt: true, timeout: a.cfg.TransferTimeout,
	}, func(ctx context.Context, actor towpath.Actor, in *scrub) (registry.Scrubbed, error) {
		return svc.Scrub(ctx, actor, registry.ScrubRequest{After: in.Body.After, Repair: in.Body.Repair, Places: in.Body.Places})
	})
}
