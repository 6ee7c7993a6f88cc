package client

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
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
