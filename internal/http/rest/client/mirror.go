package client

import (
	"context"
	"net/http"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/towpath"
)

// Mirror is what the project's releases take from other registries, and how far
// it is mirrored.
func (c *Client) Mirror(ctx context.Context, p towpath.ProjectName) (mirror.Status, error) {
	return ask[mirror.Status](ctx, c, get(projectPath(p, "/mirror"), nil))
}

// SetMirrorSources says from which registries the project's images are mirrored.
func (c *Client) SetMirrorSources(ctx context.Context, p towpath.ProjectName, sources []towpath.MirrorSource) error {
	k := post(projectPath(p, "/mirror/sources"), api.PutMirrorSources{Sources: sources})
	k.method = http.MethodPut
	return c.tell(ctx, k)
}
