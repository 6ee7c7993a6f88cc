package cli

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func newRollout(s *session) *cobra.Command {
	return s.group("rollout", "Steer the rollout that is under way",
		s.newSteer(deploy.SteerPause, "Hold the traffic where it is",
			"What runs is judged all the same: when it turns out to be worse, it goes back."),
		s.newSteer(deploy.SteerResume, "End a pause, or a manual step",
			"A step whose judgement did not come by its deadline is ended with --without-evidence only: it passes without one, and that is recorded. "+
				"It ends neither a pause nor a manual step."),
		s.newSteer(deploy.SteerSkip, "End a step, whatever its time and its judgement say",
			"The next step begins at once."),
		s.newSteer(deploy.SteerAbort, "Take all of the traffic back to what ran before",
			"The promotion ends as rolled back, and the environment is on hold. What has all of the traffic already is undone with `towpath rollback`."))
}

func (s *session) newSteer(action deploy.Steering, short, long string) *cobra.Command {
	var reason, component string
	var yes, blind bool
	cmd := &cobra.Command{
		Use: string(action) + " ENV", Short: short, Long: long, Args: positional(1, 1), ValidArgsFunction: s.completeEnvironments,
		Example: "  towpath rollout " + string(action) + " prod --reason 'we look at it first'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := s.target()
			if err != nil {
				return err
			}
			env := towpath.EnvironmentName(args[0])
			if action == deploy.SteerAbort && !yes && guarded(cmd.Context(), c, project, env, "") {
				if err := s.confirm(cmd.Context(), "abort the rollout in", env, yes); err != nil {
					return err
				}
			}
			d, err := c.Steer(cmd.Context(), project, env, api.Steer{
				Action: string(action), Component: towpath.ComponentName(component), Reason: reason, WithoutEvidence: blind,
			})
			if err != nil {
				return s.suggestEnvironment(cmd.Context(), c, project, env, err)
			}
			return s.printDeployment(d)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	switch action {
	case deploy.SteerAbort:
		cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	case deploy.SteerSkip: // never asks; a script may say so all the same
		cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask; nothing is asked")
	case deploy.SteerResume:
		cmd.Flags().BoolVar(&blind, "without-evidence", false, "end a step whose judgement did not come by its deadline")
	}
	if action == deploy.SteerResume || action == deploy.SteerSkip {
		cmd.Flags().StringVar(&component, "component", "", "whose step to end, when several move at once")
	}
	return cmd
}

func newAnalysis(s *session) *cobra.Command {
	return s.group("analysis", "How a rollout is judged, and by what", newAnalysisShow(s), newAnalysisReplay(s))
}

func newAnalysisShow(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "show DEPLOYMENT COMPONENT", Short: "Show how the new revision of a component is judged",
		Long: "With -o json it has all that was counted; `towpath analysis replay` judges that again, anywhere.",
		Args: positional(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			j, err := c.Analysis(cmd.Context(), towpath.DeploymentID(args[0]), towpath.ComponentName(args[1]))
			if err != nil {
				return err
			}
			return s.print(result{data: j, names: []string{string(j.Outcome)}, show: func(p *page) { showJudgement(p, j) }})
		},
	}
}

func newAnalysisReplay(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "replay FILE", Short: "Judge again what a recorded judgement saw",
		Long:    "Reads what `towpath analysis show -o json` printed, judges it without a server, and exits 1 and says what differs when it comes to something else.",
		Example: "  towpath analysis show dep_… api -o json > judged.json\n  towpath analysis replay judged.json",
		Args:    positional(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := args[0]
			if !filepath.IsAbs(path) {
				path = filepath.Join(s.flags.dir, path)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return towpath.E(towpath.KindInvalid, "", "the record can't be read").On(args[0]).WithCause(err).
					WithHint("give the file that `towpath analysis show -o json` was written to")
			}
			j, same, err := analysis.Replay(withoutSchema(raw))
			if err != nil {
				return err
			}
			differs, err := differences(raw, j)
			if err != nil {
				return err
			}
			out := struct {
				analysis.Judgement
				Same    bool         `json:"same"`
				Differs []difference `json:"differs,omitempty"`
			}{j, same, differs}
			if err := s.print(result{data: out, names: []string{string(j.Outcome)}, show: func(p *page) {
				showJudgement(p, j)
				showDiffers(p, same, differs)
			}}); err != nil || same {
				return err
			}
			return outcome(ExitError)
		},
	}
}

// withoutSchema takes the member that -o json adds out of a document.
func withoutSchema(raw []byte) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members["schema"] == nil {
		return raw
	}
	delete(members, "schema")
	out, err := json.Marshal(members)
	if err != nil {
		return raw
	}
	return out
}

func showJudgement(p *page, j analysis.Judgement) {
	p.field("judged", p.style.word(string(j.Outcome)))
	p.field("because", j.Sentence)
	p.line("")
	t := table{columns: []string{"OBJECTIVE", "IS", "WHY"}}
	for _, v := range j.Verdicts {
		t.add(v.Objective, p.style.word(string(v.Outcome)), v.Sentence)
	}
	p.table(t)
}
