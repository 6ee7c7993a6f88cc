package cli

import (
	"context"

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
		Use: "list", Aliases: []string{"ls"}, Short: "List deployments, newest first", Args: positional(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.runDeploymentList(cmd.Context(), towpath.EnvironmentName(env), page)
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
	p := page{now: s.apps.Now(), style: style{s.colour(s.stdout)}}
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

func newDeploymentShow(s *session) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "show DEPLOYMENT", Short: "Show a deployment: components and their steps", Args: positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			d, err := c.Deployment(cmd.Context(), towpath.DeploymentID(args[0]))
			if err != nil {
				return listed(err, "towpath deployment list")
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
	if d.Waiting != "" {
		p.field("waiting", p.style.warn(d.Waiting))
	}
	for _, r := range d.Components {
		if r.Canary != nil && r.Canary.Judgement != nil {
			p.field("judged", string(r.Component)+": "+p.style.word(string(r.Canary.Judgement.Outcome))+". "+r.Canary.Judgement.Sentence)
		}
	}
	if d.Cause != "" {
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
