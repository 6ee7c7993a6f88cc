package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

// TagRules are the tags of a project's repositories that never move.
func (c *Client) TagRules(ctx context.Context, p towpath.ProjectName) (api.TagRules, error) {
	return ask[api.TagRules](ctx, c, get(projectPath(p, "/tag-rules"), nil))
}

// SetTagRules replaces the tags of a project's repositories that never move.
func (c *Client) SetTagRules(ctx context.Context, p towpath.ProjectName, r api.TagRules) error {
	k := post(projectPath(p, "/tag-rules"), r)
	k.method = http.MethodPut
	return c.tell(ctx, k)
}

// Usage is what the registry holds, in one project or in all.
func (c *Client) Usage(ctx context.Context, p towpath.ProjectName) (registry.Usage, error) {
	q := url.Values{}
	if p != "" {
		q.Set("project", string(p))
	}
	k := get("/registry/usage", q)
	k.long = true
	return ask[registry.Usage](ctx, c, k)
}

// CollectGarbage has the registry give up what nothing needs any more.
func (c *Client) CollectGarbage(ctx context.Context, g api.Garbage) (registry.Collected, error) {
	return ask[registry.Collected](ctx, c, call{method: http.MethodPost, path: "/registry/gc", body: g, long: true})
}

// Scrub has a part of what is stored checked.
func (c *Client) Scrub(ctx context.Context, r api.Scrub) (registry.Scrubbed, error) {
	return ask[registry.Scrubbed](ctx, c, call{method: http.MethodPost, path: "/registry/scrub", body: r, long: true})
}
