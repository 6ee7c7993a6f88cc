package client

import (
	"context"
	"net/url"
	"strings"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

// StartExperiment asks for a release to run beside what an environment runs.
func (c *Client) StartExperiment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, r api.StartExperiment) (towpath.Promotion, error) {
	return c.experiment(ctx, post(environmentPath(p, e, "/experiments"), r))
}

// Experiments lists the last experiments of an environment, newest first.
func (c *Client) Experiments(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (deploy.ExperimentList, error) {
	return ask[deploy.ExperimentList](ctx, c, get(environmentPath(p, e, "/experiments"), nil))
}

// LastExperiment is the one that is under way in an environment, or the last;
// false: there is none.
func (c *Client) LastExperiment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (deploy.Experiment, bool, error) {
	l, err := ask[deploy.ExperimentList](ctx, c, get(environmentPath(p, e, "/experiments"), url.Values{"limit": {"1"}}))
	if err != nil || len(l.Items) == 0 {
		return deploy.Experiment{}, false, err
	}
	return l.Items[0], true, nil
}

// Experiment is one with all that its report is made of.
func (c *Client) Experiment(ctx context.Context, id towpath.DeploymentID) (deploy.ExperimentRecord, error) {
	return ask[deploy.ExperimentRecord](ctx, c, get("/deployments/"+url.PathEscape(string(id))+"/experiment", nil))
}

// StopExperiment ends the experiment of an environment.
func (c *Client) StopExperiment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, reason string) (towpath.Promotion, error) {
	return c.experiment(ctx, post(environmentPath(p, e, "/experiments/stop"), api.Reason{Reason: reason}))
}

// PromoteExperiment promotes the release of the last experiment, if it won.
func (c *Client) PromoteExperiment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Promotion, error) {
	return c.experiment(ctx, post(environmentPath(p, e, "/experiments/promote"), nil))
}

// experiment makes a call that is about an experiment's promotion. When the
// answer was lost with the server it reads what was made: what the change was
// first about is that promotion, or its deployment.
func (c *Client) experiment(ctx context.Context, k call) (towpath.Promotion, error) {
	out, err := ask[towpath.Promotion](ctx, c, k)
	id, made := madeBefore(err)
	if !made {
		return out, err
	}
	if strings.HasPrefix(id, "dep_") {
		d, err := c.Deployment(ctx, towpath.DeploymentID(id))
		if err != nil {
			return out, err
		}
		id = string(d.Promotion)
	}
	return c.Promotion(ctx, towpath.PromotionID(id))
}
