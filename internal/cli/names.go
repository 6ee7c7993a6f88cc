package cli

import (
	"context"
	"errors"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

// suggestRelease adds a guess to the error of a release that was not found.
func (s *session) suggestRelease(ctx context.Context, c *client.Client, project towpath.ProjectName, got string, err error) error {
	return suggest(err, func() string {
		list, err := c.Releases(ctx, project, client.Page{Limit: 100})
		if err != nil {
			return ""
		}
		var known []string
		for _, r := range list.Items {
			known = append(known, r.Version)
		}
		if hint := didyoumean.Hint(got, known); hint != "" {
			return hint
		}
		return "see: towpath release list"
	})
}

// suggestEnvironment adds a guess to the error of an environment that was not
// found.
func (s *session) suggestEnvironment(ctx context.Context, c *client.Client, project towpath.ProjectName, got towpath.EnvironmentName, err error) error {
	return suggest(err, func() string {
		status, err := c.Status(ctx, project, "")
		if err != nil {
			return ""
		}
		var known []towpath.EnvironmentName
		for _, e := range status.Environments {
			if e.Environment == got {
				return "" // something else was not found
			}
			known = append(known, e.Environment)
		}
		return didyoumean.Hint(string(got), known)
	})
}

// suggest asks for a hint when something was not found and nobody gave one.
func suggest(err error, hint func() string) error {
	var e *towpath.Error
	if !errors.As(err, &e) || e.Kind != towpath.KindNotFound || e.Hint != "" {
		return err
	}
	if h := hint(); h != "" {
		return e.WithHint("%s", h)
	}
	return err
}
