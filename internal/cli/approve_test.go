package cli_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// TestCancel: what follows is said as it is: a promotion that waits has ended, and
// one that is being deployed goes back.
func TestCancel(t *testing.T) {
	for phase, says := range map[towpath.PromotionPhase]string{
		towpath.PromotionWaiting:   "",
		towpath.PromotionDeploying: "it is recorded, and its deployment goes back to what ran before; follow it with: towpath promotion show prm_1 --watch\n",
	} {
		t.Run(string(phase), func(t *testing.T) {
			w := storyWorld()
			w.Promotions[0].Phase = phase
			if got := newShell(t, apitest.New(t, w)).run("cancel", "prm_1"); got.code != cli.ExitOK || got.stderr != says {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
	t.Run("what a yes leads to is judged", func(t *testing.T) {
		got := newShell(t, apitest.New(t, storyWorld())).run("approve", "prm_1")
		if got.code != cli.ExitOK || !strings.Contains(got.stderr, "the gates judge again") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}
