package cli_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// People name an environment where they mean its deployments, and nothing where
// they mean what was deployed last.
func TestDeployment_ByEnvironment(t *testing.T) {
	for _, tt := range []struct {
		args           string
		code           int
		stdout, stderr string // what has to be in it
		not            string // what must not be in stdout
	}{
		{"list", cli.ExitOK, "dep_1", "", ""},
		{"list dev", cli.ExitOK, "dep_1", "", "dep_2"},
		{"list --env prod", cli.ExitOK, "dep_2", "", "dep_1"},
		{"list prod --env prod", cli.ExitOK, "dep_2", "", "dep_1"},
		{"list prod --env dev", cli.ExitError, "", "two environments are named: prod, and --env dev", "dep_"},
		{"list dve", cli.ExitError, "", "did you mean dev?", "dep_"},
		{"show", cli.ExitOK, "dep_2", "the newest of shop", "dep_1"},
		{"show dev", cli.ExitOK, "dep_1", "", "dep_2"},
		{"show dep_1", cli.ExitOK, "dep_1", "", "dep_2"},
		{"show lab", cli.ExitError, "", "nothing was deployed there yet", ""},
		{"show dve", cli.ExitError, "", "did you mean dev?", ""},
		{"show dep_9", cli.ExitError, "", "see: towpath deployment list", ""},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := newShell(t, apitest.New(t, storyWorld())).run(append([]string{"deployment"}, strings.Fields(tt.args)...)...)
			if got.code != tt.code || !strings.Contains(got.stdout, tt.stdout) || !strings.Contains(got.stderr, tt.stderr) || tt.not != "" && strings.Contains(got.stdout, tt.not) {
				t.Errorf("exit %d\n%s\n%s", got.code, got.stdout, got.stderr)
			}
		})
	}
	t.Run("promotions are listed likewise", func(t *testing.T) {
		s := apitest.New(t, storyWorld())
		if got := newShell(t, s).run("promotion", "list", "prod"); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
		if got := newShell(t, s).run("promotion", "list", "prod", "--env", "dev"); got.code != cli.ExitError {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}
