package cli

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

func newDeployment(s *session) *cobra.Command {
	return s.group("deployment", "List and show deployments", newDeploymentList(s), newDeploymentShow(s))
}

func newDeploymentList(s *session) *cobra.Command {
	var page client.Page
	var env string
	cmd := &cobra.Command{
		Use: "list [ENV]", Aliases: []string{"ls"}, Short: "List deployments, newest first", Args: positional(0, 1),
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := environmentOf(cmd, args, env)
			if err != nil {
				return err
			}
			return s.runDeploymentList(cmd.Context(), in, page)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "in this environment only")
	pageFlags(cmd, &page)
	return cmd
}

func (s *session) runDeploymentList(ctx context.Context, env towpath.EnvironmentName, q client.Page) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	list, err := c.Deployments(ctx, project, env, q)
	if err != nil {
		return s.suggestEnvironment(ctx, c, project, env, err)
	}
	if len(list.Items) == 0 {
		if err := s.knownEnvironment(ctx, c, project, env); err != nil {
			return err
		}
	}
	r := result{data: list, none: "there is no such deployment"}
	r.table.columns = []string{"DEPLOYMENT", "ENVIRONMENT", "KIND", "VERSION", "PHASE", "BY", "AGE", "TOOK", "REASON", "+DIGEST", "+PREVIOUS", "+PROMOTION"}
	p := page{now: s.apps.Now(), style: s.styled(s.stdout)}
	for _, d := range list.Items {
		took := dash
		if !d.FinishedAt.IsZero() {
			took = seconds(d.FinishedAt.Sub(d.CreatedAt))
		}
		r.names = append(r.names, string(d.ID))
		r.table.add(string(d.ID), string(d.Environment), string(d.Kind), orDash(d.Version), p.style.word(string(d.Phase)), string(d.By),
			p.age(d.CreatedAt), took, d.Reason, short(d.Release), orDash(d.PreviousVersion), orDash(d.Promotion))
	}
	s.more(list.Next)
	return s.print(r)
}

// environmentOf is the environment that a list is about, which people write behind
// the command or with --env; empty: all of them.
func environmentOf(cmd *cobra.Command, args []string, flag string) (towpath.EnvironmentName, error) {
	switch {
	case len(args) == 0:
		return towpath.EnvironmentName(flag), nil
	case flag != "" && flag != args[0]:
		return "", usageError(cmd, towpath.E(towpath.KindInvalid, "", "two environments are named: %s, and --env %s", args[0], flag).
			WithHint("name one"))
	}
	return towpath.EnvironmentName(args[0]), nil
}

func newDeploymentShow(s *session) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "show [DEPLOYMENT|ENV]", Short: "Show a deployment: components and their steps", Args: positional(0, 1),
		Long:              "Without an ID it is the newest one: of an environment, or of the whole project.",
		Example:           "  towpath deployment show prod\n  towpath deployment show dep_… --watch",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, d, err := s.chosenDeployment(cmd.Context(), args)
			if err != nil {
				return err
			}
			if watch {
				return s.watchDeployment(cmd.Context(), c, d)
			}
			return s.printDeployment(d)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow until the end")
	return cmd
}

// chosenDeployment is the deployment that people name by its ID, or the newest of
// an environment or of the project.
func (s *session) chosenDeployment(ctx context.Context, args []string) (c *client.Client, d towpath.Deployment, err error) {
	var env towpath.EnvironmentName
	if len(args) > 0 {
		if strings.HasPrefix(args[0], "dep_") {
			if c, err = s.client(); err != nil {
				return nil, d, err
			}
			d, err = c.Deployment(ctx, towpath.DeploymentID(args[0]))
			return c, d, listed(err, "towpath deployment list")
		}
		env = towpath.EnvironmentName(args[0])
	}
	c, project, err := s.target()
	if err != nil {
		return nil, d, err
	}
	list, err := c.Deployments(ctx, project, env, client.Page{Limit: 1})
	if err != nil {
		return nil, d, s.suggestEnvironment(ctx, c, project, env, err)
	}
	if len(list.Items) == 0 {
		if err := s.knownEnvironment(ctx, c, project, env); err != nil {
			return nil, d, err
		}
		return nil, d, towpath.E(towpath.KindNotFound, "", "nothing was deployed there yet").On(cmp.Or(string(env), string(project))).
			WithHint("see what is on its way: towpath status")
	}
	d = list.Items[0]
	if env == "" {
		s.say("the newest of %s; that of another environment: towpath deployment show ENV", project)
	}
	return c, d, nil
}

func (s *session) printDeployment(d towpath.Deployment) error {
	return s.print(result{data: d, names: []string{string(d.ID)}, show: func(p *page) { showDeployment(p, d) }})
}

func showDeployment(p *page, d towpath.Deployment) {
	p.field("deployment", string(d.ID))
	p.field("kind", string(d.Kind))
	p.field("environment", p.style.bold(string(d.Environment)))
	p.field("release", orDash(d.Version)+" "+p.style.dim("("+short(d.Release)+")"))
	if d.Previous != "" {
		p.field("previous", orDash(d.PreviousVersion)+" "+p.style.dim("("+short(d.Previous)+")"))
	}
	p.field("promotion", string(d.Promotion))
	p.field("by", string(d.By)+", "+at(d.CreatedAt))
	p.waiting(d)
	for _, r := range d.Components {
		if r.Canary != nil && r.Canary.Judgement != nil {
			j := r.Canary.Judgement
			line := string(r.Component) + ": " + p.style.word(string(j.Outcome))
			if until := cmp.Or(j.Counted, j.Until); !until.IsZero() { // it may be over, while others move
				line += ", judged until " + at(until)
			}
			if !strings.Contains(d.Cause, j.Sentence) { // which is said below
				line += ". " + j.Sentence
			}
			p.field("judged", line)
		}
	}
	if !strings.Contains(d.Reason, d.Cause) { // which is said below
		p.field("cause", d.Cause)
	}
	if r := d.Recovery; r != nil {
		said := "found out " + seconds(r.ToDetect()) + " after the first sign"
		if !r.Restored.IsZero() {
			said += ", and back " + seconds(r.ToRestore()) + " later"
		}
		p.field("recovery", said)
	}
	p.line("")
	p.tree(d)
}
