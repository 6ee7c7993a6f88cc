package client

import (
	"context"
	"net/url"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// Steer pauses the rollout that is under way in an environment, or lets it go
// on.
func (c *Client) Steer(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, r api.Steer) (towpath.Deployment, error) {
	return ask[towpath.Deployment](ctx, c, post(environmentPath(p, e, "/rollout"), r))
}

// Analysis is how a rollout is judged, with all that was counted.
func (c *Client) Analysis(ctx context.Context, id towpath.DeploymentID, component towpath.ComponentName) (analysis.Judgement, error) {
	return ask[analysis.Judgement](ctx, c, get("/deployments/"+url.PathEscape(string(id))+"/analysis/"+url.PathEscape(string(component)), nil))
}
