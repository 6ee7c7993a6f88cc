package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

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
	r.table.columns = []string{"ENVIRONMENT", "COMPONENT", "DRIFT", "SINCE", "SEEN", "POLICY", "DIFFERENCE", "+REVISION", "+REPAIRS"}
	p := page{now: s.apps.Now(), style: s.styled(s.stdout)}
	for _, x := range report.Components {
		r.names = append(r.names, string(x.Environment)+"/"+string(x.Component))
		first := dash
		if len(x.Differences) > 0 {
			first = x.Differences[0].Sentence
		}
		r.table.add(string(x.Environment), string(x.Component), driftWord(&p, x.State), ageOf(&p, x.Since), ageOf(&p, x.Observed), cmp.Or(string(x.Policy), dash), first,
			string(x.Revision), fmt.Sprint(len(x.Repairs)))
		more := func(text string) { r.table.add("", "", "", "", "", "", text, "", "") }
		for i, d := range x.Differences {
			if i > 0 {
				more(d.Sentence)
			}
		}
		if x.Why != "" {
			more(p.style.dim(x.Why))
		}
		if x.State == towpath.DriftBackOff && x.Policy == towpath.DriftRepair && !x.Again.IsZero() {
			more(p.style.dim("The next repair is tried at " + at(x.Again) + "; `towpath repair " + string(x.Environment) + "` tries it now."))
		}
		for _, text := range ignoredWords(x) {
			more(p.style.dim(text))
		}
	}
	return r
}

func ageOf(p *page, t time.Time) string {
	if t.IsZero() {
		return dash
	}
	return p.age(t)
}

// ignoredWords say what is not looked at, and what of the release is among it.
func ignoredWords(x inventory.ComponentDrift) []string {
	if x.Rules == nil || len(x.Rules.Ignore) == 0 {
		return nil
	}
	text := "Ignored: " + strings.Join(x.Rules.Ignore, ", ")
	if x.FilesIgnored > 0 {
		text += "; " + plural(x.FilesIgnored, "file differs", "files differ") + " there"
	}
	out := []string{text + "."}
	for _, f := range x.Ignored {
		if f.How != towpath.FileWasAdded {
			out = append(out, "Ignored, and of the release itself: "+f.Sentence())
		}
	}
	return out
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
