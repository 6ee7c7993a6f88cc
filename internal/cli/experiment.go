package cli

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
)

func newExperiment(s *session) *cobra.Command {
	return s.group("experiment", "Two releases side by side, and which one is better on what",
		newExperimentStart(s), newExperimentShow(s), newExperimentList(s), newExperimentReport(s), newExperimentReplay(s),
		newExperimentPromote(s), newExperimentStop(s))
}

func newExperimentShow(s *session) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "show ENV", Short: "Show the experiment that is under way, or the last one", Args: positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		Long: "The report may be looked at as often as one likes, and the experiment be ended because of it: what it finds stays right.",
		RunE: func(cmd *cobra.Command, args []string) error {
			x, c, err := s.lastExperiment(cmd.Context(), towpath.EnvironmentName(args[0]))
			if err != nil {
				return err
			}
			if !watch {
				return s.printExperiment(x)
			}
			p, err := c.Promotion(cmd.Context(), x.Promotion)
			if err != nil {
				return err
			}
			return s.watchPromotion(cmd.Context(), c, p, false)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow until the end")
	return cmd
}

func (s *session) printExperiment(x deploy.Experiment) error {
	return s.print(result{data: x, names: []string{string(x.Deployment)}, show: func(p *page) { showExperiment(p, x) }})
}

// lastExperiment is the one that is under way in an environment, or the last.
func (s *session) lastExperiment(ctx context.Context, env towpath.EnvironmentName) (deploy.Experiment, *client.Client, error) {
	c, project, err := s.target()
	if err != nil {
		return deploy.Experiment{}, nil, err
	}
	x, known, err := c.LastExperiment(ctx, project, env)
	if err != nil {
		return deploy.Experiment{}, c, s.suggestEnvironment(ctx, c, project, env, err)
	}
	if !known {
		return deploy.Experiment{}, c, towpath.E(towpath.KindNotFound, "", "there is no experiment in %s", env).
			WithHint("`towpath experiment start %s RELEASE` begins one; one that waits for gates is a promotion: `towpath promotion list`", env)
	}
	return x, c, nil
}

func newExperimentList(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "list ENV", Short: "List the last experiments of an environment", Args: positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			env := towpath.EnvironmentName(args[0])
			l, err := c.Experiments(cmd.Context(), project, env)
			if err != nil {
				return s.suggestEnvironment(cmd.Context(), c, project, env, err)
			}
			t := table{columns: []string{"DEPLOYMENT", "NEW", "OLD", "SHARE", "PHASE", "REPORT"}}
			var names []string
			for _, x := range l.Items {
				names = append(names, string(x.Deployment))
				t.add(string(x.Deployment), x.Report.New, x.Report.Old, percent(x.Experiment.Share), string(x.Phase), x.Report.Sentence)
			}
			return s.print(result{data: l, names: names, table: t, none: "no experiment was made in " + string(env)})
		},
	}
}

func newExperimentReport(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "report DEPLOYMENT", Short: "Show the report of an experiment, with what it is made of", Args: positional(1, 1),
		Long: "With -o json it has all that was seen; `towpath experiment replay` makes the report of that again, anywhere.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			x, err := c.Experiment(cmd.Context(), towpath.DeploymentID(args[0]))
			if err != nil {
				return err
			}
			return s.print(result{data: x, names: []string{string(x.Deployment)}, show: func(p *page) { showExperiment(p, x.Experiment) }})
		},
	}
}

func newExperimentReplay(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "replay FILE", Short: "Make the report of an experiment again", Args: positional(1, 1),
		Long:    "Reads what `towpath experiment report -o json` printed, makes the report without a server, and exits 1 and says what differs when it is another one.",
		Example: "  towpath experiment report dep_… -o json > experiment.json\n  towpath experiment replay experiment.json",
		RunE: func(_ *cobra.Command, args []string) error {
			raw, err := s.readFile(args[0], "give the file that `towpath experiment report -o json` was written to")
			if err != nil {
				return err
			}
			was, same, err := experiment.Replay(raw)
			if err != nil {
				return err
			}
			differs, err := differences(raw, struct {
				Report experiment.Report `json:"report"`
			}{was.Report})
			if err != nil {
				return err
			}
			out := struct {
				experiment.Report
				Same    bool         `json:"same"`
				Differs []difference `json:"differs,omitempty"`
			}{was.Report, same, differs}
			if err := s.print(result{data: out, show: func(p *page) {
				showReport(p, was.Report)
				showDiffers(p, same, differs)
			}}); err != nil || same {
				return err
			}
			return outcome(ExitError)
		},
	}
}

// readFile reads a file that a command was given.
func (s *session) readFile(path, hint string) ([]byte, error) {
	at := path
	if !filepath.IsAbs(at) {
		at = filepath.Join(s.flags.dir, at)
	}
	raw, err := os.ReadFile(at)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "", "the file can't be read").On(path).WithCause(err).WithHint("%s", hint)
	}
	return raw, nil
}

func newExperimentPromote(s *session) *cobra.Command {
	var yes, watch bool
	cmd := &cobra.Command{
		Use: "promote ENV", Short: "Promote the release of the experiment, if it is the better one", Args: positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		Long: "Better on something and worse on nothing, by the report. It ends the experiment and asks for an ordinary promotion, through the gates. " +
			"When the report does not say so, `towpath promote` promotes all the same.",
		RunE: func(cmd *cobra.Command, args []string) error {
			x, c, err := s.lastExperiment(cmd.Context(), towpath.EnvironmentName(args[0]))
			if err != nil {
				return err
			}
			if !yes && guarded(cmd.Context(), c, x.Project, x.Environment, x.Report.New) {
				if err := s.confirm(cmd.Context(), "promote "+x.Report.New+" into", x.Environment, yes); err != nil {
					return err
				}
			}
			p, err := c.PromoteExperiment(cmd.Context(), x.Project, x.Environment)
			if err != nil {
				return err
			}
			if watch {
				return s.watchPromotion(cmd.Context(), c, p, false)
			}
			if err := s.printPromotion(p); err != nil {
				return err
			}
			s.say("follow it with: towpath promotion show %s --watch", p.ID)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "follow until the end")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

func newExperimentStop(s *session) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "stop ENV", Short: "End the experiment: what ran before gets all of the traffic again", Args: positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		Long: "Nothing is put on hold, and the release is not doubted. What was seen until then is kept.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			env := towpath.EnvironmentName(args[0])
			p, err := c.StopExperiment(cmd.Context(), project, env, reason)
			if err != nil {
				return s.suggestEnvironment(cmd.Context(), c, project, env, err)
			}
			return s.printPromotion(p)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

func showExperiment(p *page, x deploy.Experiment) {
	p.field("experiment", string(x.Deployment))
	p.field("in", p.style.bold(string(x.Environment)))
	phase := p.style.word(string(x.Phase))
	if why := x.Waiting; why != "" {
		phase += ": " + why
	} else if x.Reason != "" {
		phase += ": " + x.Reason
	}
	p.field("phase", phase)
	if x.Cause != "" {
		p.field("cause", x.Cause)
	}
	p.field("share", percent(x.Experiment.Share)+" to "+x.Report.New+" for "+x.Experiment.For.String())
	if x.Experiment.Reason != "" {
		p.field("because", x.Experiment.Reason)
	}
	showReport(p, x.Report)
}

func showReport(p *page, r experiment.Report) {
	p.field("found", r.Sentence)
	p.line("")
	t := table{columns: []string{"METRIC", "IS", "WHY"}}
	for _, f := range r.Findings {
		t.add(f.Metric, string(f.Outcome), f.Sentence)
	}
	p.table(t)
	p.line("\nAll of it together with a certainty of %g %%, however often it is looked at.", r.Level*100)
	for _, c := range r.Caveats {
		p.line("%s", c)
	}
}

func percent(n int) string { return strconv.Itoa(n) + " %" }
