package cli

import (
	"bufio"
	"context"
	"strings"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

// confirm asks a person to type the name of an environment that matters. In a
// script, --yes says that somebody has thought about it.
func (s *session) confirm(ctx context.Context, what string, env towpath.EnvironmentName, yes bool) error {
	if yes {
		return nil
	}
	if !s.interactive() {
		return towpath.E(towpath.KindInvalid, "", "%s %s is to be confirmed, and nobody is there to ask", what, env).
			WithHint("in a script, add --yes")
	}
	s.sayPart("%s: type %s to go on: ", what, s.style.bold(string(env)))
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(s.stdin).ReadString('\n') // an end of input is no confirmation
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-answer:
		if strings.TrimSpace(line) == string(env) {
			return nil
		}
	}
	return towpath.E(towpath.KindInvalid, "", "not confirmed; nothing was changed")
}

// guarded reports whether an environment asks for confirmation: its name
// begins with prod, or people have to approve on the way into it.
func guarded(ctx context.Context, c *client.Client, project towpath.ProjectName, env towpath.EnvironmentName, candidate string) bool {
	if strings.HasPrefix(string(env), "prod") {
		return true
	}
	name := candidate
	if status, err := c.Status(ctx, project, env); err == nil && len(status.Environments) == 1 && status.Environments[0].Release != "" {
		name = string(status.Environments[0].Release)
	}
	if name == "" {
		return false
	}
	r, err := c.Release(ctx, project, name)
	if err != nil || r.Content == nil {
		return false // the command itself will say what is wrong
	}
	e, ok := r.Content.Environment(env)
	return ok && e.Rules.Gates.Approvals != nil
}
