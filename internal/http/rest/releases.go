package rest

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

func (a *API) releaseRoutes() {
	svc := a.deps.Services.Releases
	type publish struct {
		InProject
		Body api.PublishRelease
	}
	register(a, route{
		id: "publish-release", method: http.MethodPost, path: "/projects/{project}/releases", tag: "releases", policy: Authenticated,
		summary: "Publish a release whose blobs were uploaded", maxBody: a.cfg.MaxPublish, timeout: longestChange,
	}, func(ctx context.Context, actor towpath.Actor, in *publish) (release.Published, error) {
		return svc.Publish(ctx, actor, release.PublishRequest{
			Project: in.Project, Manifest: in.Body.Manifest, Provenance: in.Body.Provenance,
			Commit: in.Body.Commit, Ref: in.Body.Ref, Version: in.Body.Version, Evidence: in.Body.Evidence,
		})
	})
	type list struct {
		InProject
		Paging
	}
	register(a, route{
		id: "list-releases", method: http.MethodGet, path: "/projects/{project}/releases", tag: "releases", policy: Authenticated,
		summary: "List releases, newest first",
	}, func(ctx context.Context, actor towpath.Actor, in *list) (release.List, error) {
		return svc.List(ctx, actor, in.Project, release.Page{Limit: in.Limit, Cursor: in.Cursor})
	})
	type One struct {
		InProject
		Release string `path:"release" doc:"digest, version, candidate, commit, or an unambiguous prefix of one"`
	}
	register(a, route{
		id: "get-release", method: http.MethodGet, path: "/projects/{project}/releases/{release}", tag: "releases", policy: Authenticated,
		summary: "Show a release",
	}, func(ctx context.Context, actor towpath.Actor, in *One) (towpath.Release, error) {
		return svc.Get(ctx, actor, in.Project, in.Release)
	})
	register(a, route{
		id: "get-provenance", method: http.MethodGet, path: "/projects/{project}/releases/{release}/provenance", tag: "releases", policy: Authenticated,
		summary: "Read the provenance that a release was published with, in its exact bytes",
	}, func(ctx context.Context, actor towpath.Actor, in *One) (api.Provenance, error) {
		c, statement, err := svc.Provenance(ctx, actor, in.Project, in.Release)
		return api.Provenance{Candidate: c, Statement: statement}, err
	})
	type diff struct {
		InProject
		A           string                  `query:"a" required:"true" doc:"a release"`
		B           string                  `query:"b" required:"true" doc:"a release"`
		Environment towpath.EnvironmentName `query:"environment" doc:"empty: all"`
	}
	register(a, route{
		id: "diff-releases", method: http.MethodGet, path: "/projects/{project}/diff", tag: "releases", policy: Authenticated,
		summary: "Say what differs between two releases",
	}, func(ctx context.Context, actor towpath.Actor, in *diff) (release.Diff, error) {
		return svc.Diff(ctx, actor, in.Project, in.A, in.B, in.Environment)
	})
	type because struct {
		One
		Body api.Reason
	}
	register(a, route{
		id: "quarantine-release", method: http.MethodPost, path: "/projects/{project}/releases/{release}/quarantine", tag: "releases",
		policy: Authenticated, summary: "Revoke a release everywhere",
	}, func(ctx context.Context, actor towpath.Actor, in *because) (towpath.Release, error) {
		return svc.Quarantine(ctx, actor, in.Project, in.Release, in.Body.Reason)
	})
	register(a, route{
		id: "unquarantine-release", method: http.MethodPost, path: "/projects/{project}/releases/{release}/unquarantine", tag: "releases",
		policy: Authenticated, summary: "Lift a release's quarantine",
	}, func(ctx context.Context, actor towpath.Actor, in *because) (towpath.Release, error) {
		return svc.Unquarantine(ctx, actor, in.Project, in.Release, in.Body.Reason)
	})
	a.materialRoutes()
	type collect struct {
		InProject
		Body api.Collect
	}
	register(a, route{
		id: "collect-releases", method: http.MethodPost, path: "/projects/{project}/collect", tag: "releases",
		policy: Authenticated, summary: "Give up the files of releases that retention does not keep", timeout: a.cfg.TransferTimeout,
	}, func(ctx context.Context, actor towpath.Actor, in *collect) (release.Collected, error) {
		return svc.Collect(ctx, actor, in.Project, in.Body.DryRun)
	})
}

// materialRoutes are those of what no release may be made with. Materials have
// slashes and stand in bodies.
func (a *API) materialRoutes() {
	const path, everywhere = "/projects/{project}/quarantined-materials", "/quarantined-materials"
	svc := a.deps.Services.Releases
	register(a, route{
		id: "list-quarantined-materials", method: http.MethodGet, path: path, tag: "releases", policy: Authenticated,
		summary: "List the materials with which no release may be made",
	}, func(ctx context.Context, actor towpath.Actor, in *InProject) (api.QuarantinedMaterials, error) {
		return quarantined(svc.QuarantinedMaterials(ctx, actor, in.Project))
	})
	register(a, route{
		id: "list-materials-quarantined-everywhere", method: http.MethodGet, path: everywhere, tag: "releases", policy: Authenticated,
		summary: "List the materials with which no release of any project may be made",
	}, func(ctx context.Context, actor towpath.Actor, _ *none) (api.QuarantinedMaterials, error) {
		return quarantined(svc.QuarantinedMaterials(ctx, actor, ""))
	})
	type material struct {
		InProject
		Body api.Material
	}
	register(a, route{
		id: "quarantine-material", method: http.MethodPost, path: path, tag: "releases", policy: Authenticated, status: http.StatusCreated,
		summary: "Revoke every release that is made with something, now and later",
	}, func(ctx context.Context, actor towpath.Actor, in *material) (api.QuarantinedMaterial, error) {
		return quarantineMaterial(ctx, svc, actor, in.Project, in.Body)
	})
	type ofMaterial struct {
		InProject
		Material string `query:"material" required:"true" doc:"as it was quarantined"`
	}
	register(a, route{
		id: "affected-by-material", method: http.MethodGet, path: path + "/affected", tag: "releases", policy: Authenticated,
		summary: "Say what the quarantine of a material reaches, as far as you may see it",
	}, func(ctx context.Context, actor towpath.Actor, in *ofMaterial) (towpath.Affected, error) {
		return svc.AffectedByMaterial(ctx, actor, in.Project, in.Material)
	})
	type anywhereOf struct {
		Material string `query:"material" required:"true" doc:"as it was quarantined"`
	}
	register(a, route{
		id: "affected-by-material-everywhere", method: http.MethodGet, path: everywhere + "/affected", tag: "releases", policy: Authenticated,
		summary: "Say what the quarantine of a material in every project reaches, as far as you may see it",
	}, func(ctx context.Context, actor towpath.Actor, in *anywhereOf) (towpath.Affected, error) {
		return svc.AffectedByMaterial(ctx, actor, "", in.Material)
	})
	registerDone(a, route{
		id: "unquarantine-material", method: http.MethodPost, path: path + "/lift", tag: "releases", policy: Authenticated,
		summary: "Let releases be made with something again; those quarantined for it stay so",
	}, func(ctx context.Context, actor towpath.Actor, in *material) error {
		return svc.UnquarantineMaterial(ctx, actor, in.Project, in.Body.Material, in.Body.Reason)
	})
	type anywhere struct{ Body api.Material }
	register(a, route{
		id: "quarantine-material-everywhere", method: http.MethodPost, path: everywhere, tag: "releases", policy: Authenticated, status: http.StatusCreated,
		summary: "Revoke every release of every project that is made with something, now and later; it takes an admin of everything",
	}, func(ctx context.Context, actor towpath.Actor, in *anywhere) (api.QuarantinedMaterial, error) {
		return quarantineMaterial(ctx, svc, actor, "", in.Body)
	})
	registerDone(a, route{
		id: "unquarantine-material-everywhere", method: http.MethodPost, path: everywhere + "/lift", tag: "releases", policy: Authenticated,
		summary: "Let releases of every project be made with something again; those quarantined for it by that are lifted",
	}, func(ctx context.Context, actor towpath.Actor, in *anywhere) error {
		return svc.UnquarantineMaterial(ctx, actor, "", in.Body.Material, in.Body.Reason)
	})
}

func quarantineMaterial(ctx context.Context, svc Releases, actor towpath.Actor, p towpath.ProjectName, m api.Material) (api.QuarantinedMaterial, error) {
	q, err := svc.QuarantineMaterial(ctx, actor, p, m.Material, m.Reason)
	if err != nil {
		return api.QuarantinedMaterial{}, err
	}
	return api.QuarantinedMaterial{MaterialQuarantine: q, Affected: known(svc.AffectedByMaterial(ctx, actor, p, q.Material))}, nil
}

// known is what is known to be affected by what was done. That it can't be counted
// now does not undo that.
func known(a towpath.Affected, err error) towpath.Affected {
	if err != nil {
		return towpath.Affected{Environments: []towpath.AffectedEnvironment{}, Looking: true}
	}
	return a
}

// quarantined is an answer whose list is never null.
func quarantined(items []towpath.MaterialQuarantine, err error) (api.QuarantinedMaterials, error) {
	if items == nil {
		items = []towpath.MaterialQuarantine{}
	}
	return api.QuarantinedMaterials{Items: items}, err
}
