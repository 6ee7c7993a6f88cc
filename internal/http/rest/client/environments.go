package client

import (
	"context"
	"net/url"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

// Status says what runs where; env empty is all, in upstream order.
func (c *Client) Status(ctx context.Context, p towpath.ProjectName, env towpath.EnvironmentName) (api.Status, error) {
	q := url.Values{}
	set(q, "environment", env)
	return ask[api.Status](ctx, c, get(projectPath(p, "/status"), q))
}

// Drift says how what runs differs from what was deployed; env empty is all.
func (c *Client) Drift(ctx context.Context, p towpath.ProjectName, env towpath.EnvironmentName) (inventory.DriftReport, error) {
	q := url.Values{}
	set(q, "environment", env)
	return ask[inventory.DriftReport](ctx, c, get(projectPath(p, "/drift"), q))
}

// Repair replaces what differs from what was deployed by the same again.
func (c *Client) Repair(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, r api.Repair) (towpath.Deployment, error) {
	out, err := ask[towpath.Deployment](ctx, c, post(environmentPath(p, e, "/repair"), r))
	if id, made := madeBefore(err); made {
		return c.Deployment(ctx, towpath.DeploymentID(id))
	}
	return out, err
}

// Hold stops automatic promotion into an environment.
func (c *Client) Hold(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, reason string) error {
	return c.tell(ctx, post(environmentPath(p, e, "/hold"), api.Reason{Reason: reason}))
}

// Unhold lifts the hold on an environment.
func (c *Client) Unhold(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, reason string) error {
	return c.tell(ctx, post(environmentPath(p, e, "/unhold"), api.Reason{Reason: reason}))
}

// OpenEnvironment lets an environment run in its place, by the rules that were seen.
func (c *Client) OpenEnvironment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, seen towpath.Digest) error {
	return c.tell(ctx, post(environmentPath(p, e, "/open"), api.OpenEnvironment{PolicyVersion: seen}))
}

// Freeze stops promotions.
func (c *Client) Freeze(ctx context.Context, r api.PostFreeze) (towpath.Freeze, error) {
	return ask[towpath.Freeze](ctx, c, post("/freezes", r))
}

// Unfreeze lifts a freeze.
func (c *Client) Unfreeze(ctx context.Context, id towpath.FreezeID, reason string) error {
	return c.tell(ctx, post("/freezes/"+url.PathEscape(string(id))+"/unfreeze", api.Reason{Reason: reason}))
}

// Freezes lists the freezes in force or to come; p empty is those of all.
func (c *Client) Freezes(ctx context.Context, p towpath.ProjectName) ([]towpath.Freeze, error) {
	q := url.Values{}
	set(q, "project", p)
	out, err := ask[api.Freezes](ctx, c, get("/freezes", q))
	return out.Items, err
}
