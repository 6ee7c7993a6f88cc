package client

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

// Page selects a page of a list; zero is the first, of the server's size.
type Page struct {
	Limit  int
	Cursor string
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	set(q, "cursor", p.Cursor)
	return q
}

// set leaves an empty value out.
func set[T ~string](q url.Values, name string, value T) {
	if value != "" {
		q.Set(name, string(value))
	}
}

func projectPath(p towpath.ProjectName, rest string) string {
	return "/projects/" + url.PathEscape(string(p)) + rest
}

// Projects lists the projects that the account may see.
func (c *Client) Projects(ctx context.Context) ([]towpath.Project, error) {
	out, err := ask[api.Projects](ctx, c, get("/projects", nil))
	return out.Items, err
}

// RegisterProject registers a project.
func (c *Client) RegisterProject(ctx context.Context, r api.RegisterProject) (towpath.Project, error) {
	return ask[towpath.Project](ctx, c, post("/projects", r))
}

// HasBlob is the size of a stored blob in bytes; an absent one is not found.
func (c *Client) HasBlob(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (size int64, err error) {
	k := call{method: http.MethodHead, path: projectPath(p, "/blobs/"+string(d))}
	err = c.do(ctx, k, func(r *http.Response) error {
		size = r.ContentLength
		return nil
	})
	return size, err
}

// PutBlob uploads a blob of size bytes. open is called for each attempt.
func (c *Client) PutBlob(ctx context.Context, p towpath.ProjectName, d towpath.Digest, size int64, open func() (io.ReadCloser, error)) error {
	return c.tell(ctx, call{method: http.MethodPut, path: projectPath(p, "/blobs/"+string(d)), open: open, size: size, long: true})
}

// PublishRelease publishes a release whose blobs were uploaded.
func (c *Client) PublishRelease(ctx context.Context, p towpath.ProjectName, r api.PublishRelease) (release.Published, error) {
	k := post(projectPath(p, "/releases"), r)
	out, err := ask[release.Published](ctx, c, k)
	if _, made := madeBefore(err); made { // publishing it again changes nothing, and says what there is
		k.key = rand.Text()
		return ask[release.Published](ctx, c, k)
	}
	return out, err
}

// Releases is a page of releases, newest first.
func (c *Client) Releases(ctx context.Context, p towpath.ProjectName, page Page) (release.List, error) {
	return ask[release.List](ctx, c, get(projectPath(p, "/releases"), page.query()))
}

// Release shows a release by any of its names.
func (c *Client) Release(ctx context.Context, p towpath.ProjectName, name string) (towpath.Release, error) {
	return ask[towpath.Release](ctx, c, get(projectPath(p, "/releases/"+url.PathEscape(name)), nil))
}

// Provenance reads the statement that a candidate was published with, in its
// exact bytes. A release by another of its names means its newest candidate.
func (c *Client) Provenance(ctx context.Context, p towpath.ProjectName, name string) (api.Provenance, error) {
	return ask[api.Provenance](ctx, c, get(projectPath(p, "/releases/"+url.PathEscape(name)+"/provenance"), nil))
}

// Diff says what differs between two releases, in env or in all environments.
func (c *Client) Diff(ctx context.Context, p towpath.ProjectName, a, b string, env towpath.EnvironmentName) (release.Diff, error) {
	q := url.Values{"a": {a}, "b": {b}}
	set(q, "environment", env)
	return ask[release.Diff](ctx, c, get(projectPath(p, "/diff"), q))
}

// Collect gives up the files of releases that retention does not keep.
func (c *Client) Collect(ctx context.Context, p towpath.ProjectName, r api.Collect) (release.Collected, error) {
	k := post(projectPath(p, "/collect"), r)
	k.long = true
	return ask[release.Collected](ctx, c, k)
}

// Quarantine revokes a release everywhere.
func (c *Client) Quarantine(ctx context.Context, p towpath.ProjectName, name, reason string) (towpath.Release, error) {
	return ask[towpath.Release](ctx, c, post(projectPath(p, "/releases/"+url.PathEscape(name)+"/quarantine"), api.Reason{Reason: reason}))
}

// materialsPath is where the quarantined materials of a project are; without one
// those of every project.
func materialsPath(p towpath.ProjectName, rest string) string {
	if p == "" {
		return "/quarantined-materials" + rest
	}
	return projectPath(p, "/quarantined-materials"+rest)
}

// QuarantineMaterial revokes every release of a project that is made with
// something; without a project, of every one.
func (c *Client) QuarantineMaterial(ctx context.Context, p towpath.ProjectName, material, reason string) (api.QuarantinedMaterial, error) {
	return ask[api.QuarantinedMaterial](ctx, c, post(materialsPath(p, ""), api.Material{Material: material, Reason: reason}))
}

// AffectedByMaterial says what the quarantine of a material reaches.
func (c *Client) AffectedByMaterial(ctx context.Context, p towpath.ProjectName, material string) (towpath.Affected, error) {
	return ask[towpath.Affected](ctx, c, get(materialsPath(p, "/affected"), url.Values{"material": {material}}))
}

// UnquarantineMaterial lets releases be made with something again.
func (c *Client) UnquarantineMaterial(ctx context.Context, p towpath.ProjectName, material, reason string) error {
	return c.tell(ctx, post(materialsPath(p, "/lift"), api.Material{Material: material, Reason: reason}))
}

// QuarantinedMaterials lists the materials with which no release may be made.
func (c *Client) QuarantinedMaterials(ctx context.Context, p towpath.ProjectName) ([]towpath.MaterialQuarantine, error) {
	out, err := ask[api.QuarantinedMaterials](ctx, c, get(materialsPath(p, ""), nil))
	return out.Items, err
}

// Unquarantine lifts a release's quarantine.
func (c *Client) Unquarantine(ctx context.Context, p towpath.ProjectName, name, reason string) (towpath.Release, error) {
	return ask[towpath.Release](ctx, c, post(projectPath(p, "/releases/"+url.PathEscape(name)+"/unquarantine"), api.Reason{Reason: reason}))
}
