package cli_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// TestReleaseBuild_proposed: who publishes what nobody has opened hears that then,
// not when nothing happens.
func TestReleaseBuild_proposed(t *testing.T) {
	for name, proposed := range map[string]*towpath.Proposal{"what is proposed": {}, "nothing when all is open": nil} {
		t.Run("says "+name, func(t *testing.T) {
			w := apitest.NewWorld()
			w.Status = []inventory.Status{{Project: "shop", Environment: "dev"}, {Project: "shop", Environment: "prod", Proposed: proposed}}
			sh, closed := newShell(t, apitest.New(t, w)), false
			sh.apps.Build = builder(&closed, nil)
			got := sh.run("release", "build")
			said := strings.Contains(got.stderr, "note: nothing is deployed into prod before somebody with the role admin has seen its rules: towpath open prod")
			if got.code != cli.ExitOK || said != (proposed != nil) {
				t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}
