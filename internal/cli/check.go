package cli

import (
	"github.com/spf13/cobra"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
)

func newCheck(s *session) *cobra.Command {
	return s.group("check", "Post the status of an external check", newCheckPost(s))
}

func newCheckPost(s *session) *cobra.Command {
	var r api.PostCheck
	var env, state string
	cmd := &cobra.Command{
		Use: "post KEY --release RELEASE --state STATE", Short: "Post a check's status for a release; gates ask for it by its key",
		Example: "  towpath check post security-scan --release 1.4.0 --env prod --state success",
		Args:    positional(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Key, r.Environment, r.State = args[0], towpath.EnvironmentName(env), towpath.CheckState(state)
			known := []towpath.CheckState{towpath.CheckPending, towpath.CheckSuccess, towpath.CheckFailure, towpath.CheckError}
			if r.Release == "" || state == "" {
				return usageError(cmd, towpath.E(towpath.KindInvalid, "", "--release and --state are needed; states are %s", join(known)))
			}
			if n := didyoumean.Name(state, known); n != "" && n != r.State {
				return towpath.E(towpath.KindInvalid, "", "%q is no state of a check", state).WithHint("did you mean %s?", n)
			}
			c, project, err := s.target()
			if err != nil {
				return err
			}
			x, err := c.PostCheck(cmd.Context(), project, r)
			if err != nil {
				return s.suggestEither(cmd.Context(), c, project, r.Release, r.Environment, err)
			}
			return s.print(result{data: x, names: []string{x.Key}, show: func(p *page) {
				p.line("%s is %s for %s", x.Key, p.style.word(string(x.State)), x.Candidate)
			}})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Release, "release", "", "the release that was checked")
	f.StringVar(&state, "state", "", "pending, success, failure or error")
	f.StringVar(&env, "env", "", "on the way into this environment only")
	f.StringVar(&r.URL, "link", "", "where people read more")
	f.StringVar(&r.Description, "description", "", "one sentence")
	return cmd
}
