package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// Replications are the registries that releases are copied to, and how far each
// is behind.
func (c *Client) Replications(ctx context.Context, p towpath.ProjectName) (api.Replications, error) {
	return ask[api.Replications](ctx, c, get(projectPath(p, "/replications"), nil))
}

// AddReplication has releases copied to another registry.
func (c *Client) AddReplication(ctx context.Context, p towpath.ProjectName, r api.PostReplication) (towpath.ReplicationRule, error) {
	return ask[towpath.ReplicationRule](ctx, c, post(projectPath(p, "/replications"), r))
}

// RemoveReplication ends a rule; what was copied stays. Where releases live it
// ends once all is here again, or with abandon at once.
func (c *Client) RemoveReplication(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName, abandon bool) error {
	k := post(projectPath(p, "/replications/"+url.PathEscape(string(name))), nil)
	k.method = http.MethodDelete
	if abandon {
		k.query = url.Values{"abandon": {"true"}}
	}
	return c.tell(ctx, k)
}
