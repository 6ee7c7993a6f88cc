package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

func newDrift(s *session) *cobra.Command {
	var code bool
	cmd := &cobra.Command{
		Use: "drift [ENV]", Short: "Show how what runs differs from what was deployed",
		Long: "Agents look at what runs all the time: its processes, the revision with the traffic, every file of the release, settings, " +
			"the address. A difference counts once it was seen twice. A component whose project file says drift: repair is replaced by itself; " +
			"towpath repair does it for the others.",
		Example: "  towpath drift\n  towpath drift prod --exit-code",
		Args:    positional(0, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			env := towpath.EnvironmentName("")
			if len(args) == 1 {
				env = towpath.EnvironmentName(args[0])
			}
			return s.runDrift(cmd.Context(), env, code)
		},
	}
	cmd.Flags().BoolVar(&code, "exit-code", false, "exit 2 when something has drifted")
	return cmd
}

func (s *session) runDrift(ctx context.Context, env towpath.EnvironmentName, code bool) error {
	c, project, err := s.target()
	if err != nil {
		return err
	}
	report, err := c.Drift(ctx, project, env)
	if err != nil {
		return s.suggestEnvironment(ctx, c, project, env, err)
	}
	if err := s.print(s.driftResult(report)); err != nil {
		return err
	}
	for _, x := range report.Components {
		if code && x.State.Standing() {
			return outcome(ExitChanges)
		}
	}
	return nil
}

func (s *session) driftResult(report inventory.DriftReport) result {
	r := result{data: report, none: "nothing runs yet; publish a release first"}
	r.table.columns = []string{"ENVIRONMENT", "COMPONENT", "DRIFT", "SINCE", "POLICY", "DIFFERENCE", "+REVISION", "+REPAIRS"}
	p := page{now: s.apps.Now(), style: style{s.colour(s.stdout)}}
	for _, x := range report.Components {
		r.names = append(r.names, string(x.Environment)+"/"+string(x.Component))
		first := dash
		if len(x.Differences) > 0 {
			first = x.Differences[0].Sentence
		}
		since := dash
		if !x.Since.IsZero() {
			since = p.age(x.Since)
		}
		r.table.add(string(x.Environment), string(x.Component), driftWord(&p, x.State), since, string(x.Policy), first,
			string(x.Revision), fmt.Sprint(len(x.Repairs)))
		for i, d := range x.Differences {
			if i > 0 {
				r.table.add("", "", "", "", "", d.Sentence, "", "")
			}
		}
		if x.Why != "" {
			r.table.add("", "", "", "", "", p.style.dim(x.Why), "", "")
		}
	}
	return r
}

// driftWord is a state of drift in the colour of how much it needs a person.
func driftWord(p *page, s towpath.DriftState) string {
	switch s {
	case towpath.DriftNone:
		return p.style.good(string(s))
	case towpath.DriftFound, towpath.DriftRepairing:
		return p.style.warn(string(s))
	case towpath.DriftBackOff, towpath.DriftFlapping:
		return p.style.bad(string(s))
	}
	return orDash(s)
}
