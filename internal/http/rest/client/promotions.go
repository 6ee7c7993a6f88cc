package client

import (
	"context"
	"net/url"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/towpath"
)

func environmentPath(p towpath.ProjectName, e towpath.EnvironmentName, rest string) string {
	return projectPath(p, "/environments/"+url.PathEscape(string(e))+rest)
}

// Plan says what a promotion would meet and change.
func (c *Client) Plan(ctx context.Context, p towpath.ProjectName, r api.Promote) (promote.Preview, error) {
	return ask[promote.Preview](ctx, c, get(environmentPath(p, r.Environment, "/plan"), url.Values{"release": {r.Release}}))
}

// Judged is what the gates that judge what is said about a release say of it in
// an environment.
func (c *Client) Judged(ctx context.Context, p towpath.ProjectName, name string, e towpath.EnvironmentName) (promote.Preview, error) {
	return ask[promote.Preview](ctx, c, get(environmentPath(p, e, "/plan"), url.Values{"release": {name}, "evidence": {"true"}}))
}

// Promote asks for a release to be moved into an environment.
func (c *Client) Promote(ctx context.Context, p towpath.ProjectName, r api.Promote) (towpath.Promotion, error) {
	out, err := ask[towpath.Promotion](ctx, c, post(projectPath(p, "/promotions"), r))
	if id, made := madeBefore(err); made {
		return c.Promotion(ctx, towpath.PromotionID(id))
	}
	return out, err
}

// PromotionFilter selects promotions.
type PromotionFilter struct {
	Environment towpath.EnvironmentName // empty: all
	Open        bool                    // only those that have not ended
	Page
}

// Promotions is a page of promotions, newest first.
func (c *Client) Promotions(ctx context.Context, p towpath.ProjectName, f PromotionFilter) (promote.List, error) {
	q := f.query()
	set(q, "environment", f.Environment)
	if f.Open {
		q.Set("open", "true")
	}
	return ask[promote.List](ctx, c, get(projectPath(p, "/promotions"), q))
}

// Promotion shows a promotion.
func (c *Client) Promotion(ctx context.Context, id towpath.PromotionID) (towpath.Promotion, error) {
	return ask[towpath.Promotion](ctx, c, get("/promotions/"+url.PathEscape(string(id)), nil))
}

// Approve agrees to a promotion.
func (c *Client) Approve(ctx context.Context, id towpath.PromotionID, reason string) (towpath.Promotion, error) {
	return c.decide(ctx, id, "approve", reason)
}

// Reject refuses a promotion.
func (c *Client) Reject(ctx context.Context, id towpath.PromotionID, reason string) (towpath.Promotion, error) {
	return c.decide(ctx, id, "reject", reason)
}

// Cancel withdraws a promotion.
func (c *Client) Cancel(ctx context.Context, id towpath.PromotionID, reason string) (towpath.Promotion, error) {
	return c.decide(ctx, id, "cancel", reason)
}

func (c *Client) decide(ctx context.Context, id towpath.PromotionID, verb, reason string) (towpath.Promotion, error) {
	out, err := ask[towpath.Promotion](ctx, c, post("/promotions/"+url.PathEscape(string(id))+"/"+verb, api.Reason{Reason: reason}))
	if _, made := madeBefore(err); made {
		return c.Promotion(ctx, id)
	}
	return out, err
}

// PostCheck posts the status of an external check.
func (c *Client) PostCheck(ctx context.Context, p towpath.ProjectName, r api.PostCheck) (towpath.Check, error) {
	return ask[towpath.Check](ctx, c, post(projectPath(p, "/checks"), r))
}

// Rollback takes an environment back to an earlier release.
func (c *Client) Rollback(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, r api.Rollback) (deploy.RollbackResult, error) {
	out, err := ask[deploy.RollbackResult](ctx, c, post(environmentPath(p, e, "/rollback"), r))
	id, made := madeBefore(err)
	if !made {
		return out, err
	}
	d, err := c.Deployment(ctx, towpath.DeploymentID(id))
	return deploy.RollbackResult{
		Environment: e, From: d.Previous, FromVersion: d.PreviousVersion, To: d.Release, ToVersion: d.Version,
		Components: []towpath.ComponentPlan{}, Deployment: &d,
	}, err
}

// VerifyEnvironment runs the verification jobs of what an environment runs
// again.
func (c *Client) VerifyEnvironment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (deploy.Verification, error) {
	out, err := ask[deploy.Verification](ctx, c, post(environmentPath(p, e, "/verify"), nil))
	if id, made := madeBefore(err); made {
		return c.Verification(ctx, p, e, towpath.PromotionID(id))
	}
	return out, err
}

// Verification shows what became of a verification.
func (c *Client) Verification(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, id towpath.PromotionID) (deploy.Verification, error) {
	return ask[deploy.Verification](ctx, c, get(environmentPath(p, e, "/verifications/"+url.PathEscape(string(id))), nil))
}

// Deployments is a page of deployments, newest first; env empty is all.
func (c *Client) Deployments(ctx context.Context, p towpath.ProjectName, env towpath.EnvironmentName, page Page) (deploy.List, error) {
	q := page.query()
	set(q, "environment", env)
	return ask[deploy.List](ctx, c, get(projectPath(p, "/deployments"), q))
}

// Deployment shows a deployment and its steps.
func (c *Client) Deployment(ctx context.Context, id towpath.DeploymentID) (towpath.Deployment, error) {
	return ask[towpath.Deployment](ctx, c, get("/deployments/"+url.PathEscape(string(id)), nil))
}

// Resolve decides an operation whose outcome nobody could tell.
func (c *Client) Resolve(ctx context.Context, id towpath.OperationID, r api.Resolve) error {
	return c.tell(ctx, post("/operations/"+url.PathEscape(string(id))+"/resolve", r))
}
