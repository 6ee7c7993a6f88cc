package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

func newVerify(s *session) *cobra.Command {
	wait := true
	cmd := &cobra.Command{
		Use: "verify ENV", Short: "Run the verification jobs of what an environment runs again",
		Long: "Runs the smoke tests of the releases that run in an environment once more, with the traffic as it is. When one fails, what " +
			"runs there is not verified any more: no environment further upstream takes it, until it is verified again or replaced. " +
			"Nothing is rolled back; a rollback meanwhile withdraws the verification.",
		Example: "  towpath verify staging\n  towpath verify prod -o json",
		Args:    positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.runVerify(cmd.Context(), towpath.EnvironmentName(args[0]), wait)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", true, "wait for the end")
	return cmd
}

func (s *session) runVerify(ctx context.Context, env towpath.EnvironmentName, wait bool) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	v, err := c.VerifyEnvironment(ctx, project, env)
	if err != nil {
		return s.suggestEnvironment(ctx, c, project, env, err)
	}
	if wait {
		if v, err = verified(ctx, c, v); err != nil {
			return err
		}
	}
	if err := s.print(result{data: v, names: []string{string(v.ID)}, show: func(p *page) { showVerification(p, v) }}); err != nil {
		return err
	}
	if v.Done && !v.Passed {
		return outcome(ExitError)
	}
	return nil
}

// verified waits for the end of a verification.
func verified(ctx context.Context, c *client.Client, v deploy.Verification) (deploy.Verification, error) {
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for !v.Done {
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-poll.C:
		}
		var err error
		if v, err = c.Verification(ctx, v.Project, v.Environment, v.ID); err != nil {
			return v, err
		}
	}
	return v, nil
}

func showVerification(p *page, v deploy.Verification) {
	what := "is being verified in"
	switch {
	case v.Done && v.Passed:
		what = "is verified in"
	case v.Done && !slices.ContainsFunc(v.Components, failed):
		what = "was not verified again in"
	case v.Done:
		what = "is not verified any more in"
	}
	p.line("%s %s %s", p.style.bold(orDash(v.Version)), what, p.style.bold(string(v.Environment)))
	for _, c := range v.Components {
		p.field(string(c.Component), string(c.Phase)+tail(c.Message))
	}
}

// failed reports whether the jobs of a component speak against it.
func failed(c deploy.ComponentVerification) bool {
	return c.Phase != towpath.OperationSucceeded && c.Phase != towpath.OperationCancelled
}

func tail(message string) string {
	if message == "" {
		return ""
	}
	return ": " + message
}
