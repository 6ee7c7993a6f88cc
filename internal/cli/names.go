package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

// suggestRelease adds a guess to the error of a release that was not found.
func (s *session) suggestRelease(ctx context.Context, c *client.Client, project towpath.ProjectName, got string, err error) error {
	return suggest(err, func(has string) string {
		list, err := c.Releases(ctx, project, client.Page{Limit: 100})
		if err != nil {
			return has
		}
		var known []string
		for _, r := range list.Items {
			if r.Version != "" {
				known = append(known, r.Version)
			}
		}
		if slices.Contains(known, got) { // something else was not found
			return has
		}
		switch name := nearestVersion(got, known); {
		case name != "":
			return "did you mean " + name + "?"
		case has != "":
			return has
		}
		return "see: towpath release list"
	})
}

// nearestVersion is the version that got was meant to be. People leave out
// what comes after the plus sign.
func nearestVersion(got string, known []string) string {
	var longer []string
	for _, v := range known {
		if rest, ok := strings.CutPrefix(v, got); ok && got != "" && rest != "" && !slices.Contains(longer, v) {
			longer = append(longer, v)
		}
	}
	if len(longer) == 1 {
		return longer[0]
	}
	return didyoumean.Name(got, known)
}

// suggestEnvironment adds a guess to the error of an environment that was not
// found.
func (s *session) suggestEnvironment(ctx context.Context, c *client.Client, project towpath.ProjectName, got towpath.EnvironmentName, err error) error {
	if got == "" { // none was named, so that something else was not found
		return err
	}
	return suggest(err, func(has string) string {
		known, err := environments(ctx, c, project)
		if err != nil || slices.Contains(known, got) { // something else was not found
			return has
		}
		if hint := didyoumean.Hint(string(got), known); hint != "" {
			return hint
		}
		return has
	})
}

// suggestPromotion adds a guess to the error of a request that names a release
// and an environment, one of which was not found.
func (s *session) suggestPromotion(ctx context.Context, c *client.Client, project towpath.ProjectName, r api.Promote, err error) error {
	return s.suggestEither(ctx, c, project, r.Release, r.Environment, err)
}

// suggestEither adds a guess to the error of a command that names a release and,
// unless that is empty, an environment, one of which was not found.
func (s *session) suggestEither(ctx context.Context, c *client.Client, project towpath.ProjectName, release string, env towpath.EnvironmentName, err error) error {
	if env == "" || towpath.KindOf(err) != towpath.KindNotFound {
		return s.suggestRelease(ctx, c, project, release, err)
	}
	known, listErr := environments(ctx, c, project)
	if listErr == nil && !slices.Contains(known, env) {
		return s.suggestEnvironment(ctx, c, project, env, err)
	}
	return s.suggestRelease(ctx, c, project, release, err)
}

func environments(ctx context.Context, c *client.Client, project towpath.ProjectName) ([]towpath.EnvironmentName, error) {
	status, err := c.Status(ctx, project, "")
	if err != nil {
		return nil, err
	}
	var names []towpath.EnvironmentName
	for _, e := range status.Environments {
		names = append(names, e.Environment)
	}
	return names, nil
}

// knownEnvironment refuses a name that no environment of the project has. It is
// for what the server accepts for environments that are yet to come.
func (s *session) knownEnvironment(ctx context.Context, c *client.Client, project towpath.ProjectName, env towpath.EnvironmentName) error {
	if env == "" {
		return nil
	}
	known, err := environments(ctx, c, project)
	if err != nil || slices.Contains(known, env) {
		return err
	}
	return towpath.E(towpath.KindNotFound, "", "project %s has no environment %q", project, env).
		WithHint("%s", didyoumean.Hint(string(env), known))
}

// knownProject refuses a name that no project has. It is asked when a list is
// empty, which that of a project that is not there is, too.
func (s *session) knownProject(ctx context.Context, c *client.Client, project towpath.ProjectName) error {
	all, err := c.Projects(ctx)
	if err != nil {
		return err
	}
	var known []towpath.ProjectName
	for _, p := range all {
		if p.Name == project {
			return nil
		}
		known = append(known, p.Name)
	}
	hint := didyoumean.Hint(string(project), known)
	if hint == "" {
		hint = "towpath project list shows those that you may see; towpath project register makes one known"
	}
	return towpath.E(towpath.KindNotFound, "", "the server knows no project %q, or you may not see it", project).WithHint("%s", hint)
}

// listed says where the names stand, when something was not found and nobody
// gave a better hint.
func listed(err error, command string) error {
	return suggest(err, func(has string) string {
		if has != "" {
			return has
		}
		return fmt.Sprintf("see: %s", command)
	})
}

// suggest gives a hint when something was not found. hint is told the one that
// there is.
func suggest(err error, hint func(has string) string) error {
	var e *towpath.Error
	if !errors.As(err, &e) || e.Kind != towpath.KindNotFound {
		return err
	}
	return e.WithHint("%s", hint(e.Hint))
}
