package cli_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// steps makes a world where each look at the promotion finds the next phase.
func steps(phases ...towpath.PromotionPhase) *apitest.World {
	w := storyWorld()
	d := deployment(towpath.DeploymentSwitching)
	looks := 0
	w.Fail = func(_ context.Context, m string) error {
		if m != "promotions.Get" {
			return nil
		}
		w.Do(func(w *apitest.World) {
			p := w.Promotions[0]
			p.Phase = phases[min(looks, len(phases)-1)]
			if p.Phase != towpath.PromotionWaiting {
				p.Deployment, p.Verdicts, p.Reason = "dep_2", nil, ""
			}
			if p.Phase == towpath.PromotionSucceeded {
				d.Phase = towpath.DeploymentSucceeded
			}
			w.Promotions, w.Deployments = []towpath.Promotion{p}, []towpath.Deployment{d}
		})
		looks++
		// Wakes the watch: without, the test would take as long as polling.
		w.Append(ledger.Entry{Seq: int64(100 + looks), Event: towpath.Event{ID: "evt_x", Action: "promotion.moved", Project: "shop"}})
		return nil
	}
	return w
}

func TestPromote_watch(t *testing.T) {
	promote := []string{"promote", "1.4.0", "--to", "prod", "--yes", "--watch"}
	t.Run("follows until it succeeded", func(t *testing.T) {
		got := newShell(t, apitest.New(t, steps(towpath.PromotionDeploying, towpath.PromotionDeploying, towpath.PromotionSucceeded))).run(promote...)
		if got.code != cli.ExitOK || got.stdout != "prm_1 succeeded\n" {
			t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
		for _, line := range []string{"rollback of 1.3.0 into prod: switching", "mail: verify failed (5.0s): GET / answered 500", "| line y", "promotion of 1.4.0 into prod: succeeded"} {
			if !strings.Contains(got.stderr, line) {
				t.Errorf("%q is missing in\n%s", line, got.stderr)
			}
		}
	})
	t.Run("stops when people have to approve, and says how to go on", func(t *testing.T) {
		got := newShell(t, apitest.New(t, steps(towpath.PromotionWaiting))).run(promote...)
		if got.code != cli.ExitWaiting || !strings.Contains(got.stderr, "towpath approve prm_1") || !strings.Contains(got.stderr, "--through-approval") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("stops at a hold and at a freeze without end, and says how they are lifted", func(t *testing.T) {
		for _, gate := range []towpath.GateName{towpath.GateHold, towpath.GateWindows} {
			w := steps(towpath.PromotionWaiting)
			w.Promotions[0].Verdicts = []towpath.Verdict{{Gate: gate, Outcome: towpath.Wait, Reasons: []string{"It is stopped."}, Hint: "lift it", At: noon()}}
			got := newShell(t, apitest.New(t, w)).run(append(promote, "--timeout", "20s")...)
			if got.code != cli.ExitWaiting || !strings.Contains(got.stderr, "it waits: It is stopped.\nhint: lift it\n") {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		}
	})
	t.Run("stops at what does not come by itself, and says what brings it", func(t *testing.T) {
		for gate, inputs := range map[towpath.GateName]string{
			towpath.GatePlan: `{"lost":[{"what":"the manifest","digest":"sha256:1"}]}`, towpath.GateMirrored: `{"uncovered":["ghcr.io/acme/base"]}`,
		} {
			w := steps(towpath.PromotionWaiting)
			w.Promotions[0].Verdicts = []towpath.Verdict{{Gate: gate, Outcome: towpath.Wait, Reasons: []string{"It is not there."}, Hint: "bring it", Inputs: []byte(inputs), At: noon()}}
			got := newShell(t, apitest.New(t, w)).run(append(promote, "--timeout", "20s")...)
			if got.code != cli.ExitWaiting || !strings.Contains(got.stderr, "it waits: It is not there.\nhint: bring it\n") {
				t.Errorf("%s: exit %d: %s", gate, got.code, got.stderr)
			}
		}
	})
	t.Run("stops at a step that a person ends, and says which", func(t *testing.T) {
		w := steps(towpath.PromotionDeploying)
		moves := w.Fail
		w.Fail = func(ctx context.Context, m string) error {
			err := moves(ctx, m)
			w.Do(func(w *apitest.World) {
				d := deployment(towpath.DeploymentSwitching)
				d.Waiting, d.Asks = "api has 10 % of the traffic and waits for a person: `towpath rollout resume` goes on", true
				w.Deployments = []towpath.Deployment{d}
			})
			return err
		}
		got := newShell(t, apitest.New(t, w)).run(append(promote, "--timeout", "20s")...)
		if got.code != cli.ExitWaiting || !strings.Contains(got.stderr, "it waits: api has 10 % of the traffic and waits for a person: `towpath rollout resume` goes on\n") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("waits for what opens by itself", func(t *testing.T) {
		w := steps(towpath.PromotionWaiting, towpath.PromotionWaiting, towpath.PromotionSucceeded)
		w.Promotions[0].Verdicts = []towpath.Verdict{
			{Gate: towpath.GateWindows, Outcome: towpath.Wait, Until: noon().Add(time.Hour)}, {Gate: towpath.GateSoak, Outcome: towpath.Wait},
		}
		if got := newShell(t, apitest.New(t, w)).run(promote...); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("goes on through approval when told to", func(t *testing.T) {
		s := apitest.New(t, steps(towpath.PromotionWaiting, towpath.PromotionWaiting, towpath.PromotionSucceeded))
		if got := newShell(t, s).run("promotion", "show", "prm_1", "--watch", "--through-approval"); got.code != cli.ExitOK {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
	t.Run("detaches on Ctrl-C, and says how to resume", func(t *testing.T) {
		w := steps(towpath.PromotionDeploying)
		sh := newShell(t, apitest.New(t, w))
		var cancel context.CancelFunc
		sh.ctx, cancel = context.WithCancel(t.Context())
		inner := w.Fail
		looks := 0
		w.Fail = func(ctx context.Context, m string) error {
			if m == "promotions.Get" {
				if looks++; looks == 3 {
					cancel()
				}
			}
			return inner(ctx, m)
		}
		got := sh.run(promote...)
		if got.code != cli.ExitInterrupted || !strings.Contains(got.stderr, "Resume with: towpath promotion show prm_1 --watch") {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
		if n := w.Called("promotions.Cancel"); n != 0 {
			t.Error("it cancelled the promotion")
		}
	})
	t.Run("prints the promotion as JSON at the end", func(t *testing.T) {
		got := newShell(t, apitest.New(t, steps(towpath.PromotionSucceeded))).run(append(promote, "-o", "json")...)
		if got.code != cli.ExitOK || !strings.Contains(got.stdout, `"phase": "succeeded"`) {
			t.Errorf("exit %d: %s", got.code, got.stdout)
		}
	})
	t.Run("follows a rollback, too", func(t *testing.T) {
		w := storyWorld()
		d := deployment(towpath.DeploymentSucceeded)
		w.Deployments = []towpath.Deployment{d}
		if got := newShell(t, apitest.New(t, w)).run("rollback", "prod", "--yes", "--watch"); got.code != cli.ExitOK || got.stdout != "dep_2 succeeded\n" {
			t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	t.Run("says that a gate denied", func(t *testing.T) {
		w := storyWorld()
		w.Promotions[0].Phase = towpath.PromotionDenied
		if got := newShell(t, apitest.New(t, w)).run("promote", "1.4.0", "--to", "prod", "--yes"); got.code != cli.ExitDenied {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}

func TestExperiment_watch(t *testing.T) {
	world := func(phases ...towpath.PromotionPhase) *apitest.World {
		w := steps(phases...)
		w.Promotions[0].Experiment = &towpath.Experiment{Share: 20, For: time.Hour}
		w.Experiment.Promotion = "prm_1"
		moves := w.Fail
		w.Fail = func(ctx context.Context, m string) error {
			err := moves(ctx, m)
			w.Do(func(w *apitest.World) {
				if w.Promotions[0].Phase == towpath.PromotionConcluded {
					w.Deployments = []towpath.Deployment{deployment(towpath.DeploymentConcluded)}
				}
			})
			return err
		}
		return w
	}
	start := []string{"experiment", "start", "prod", "1.4.0", "--yes", "--watch"}
	t.Run("follows until it is over, and prints what it found", func(t *testing.T) {
		got := newShell(t, apitest.New(t, world(towpath.PromotionDeploying, towpath.PromotionConcluded))).run(start...)
		if got.code != cli.ExitOK || !strings.Contains(got.stderr, "switching: 1.4.0 is better on speed.") || !strings.Contains(got.stdout, "found:        1.4.0 is better on speed.") {
			t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	})
	for phase, want := range map[towpath.PromotionPhase]int{
		towpath.PromotionConcluded: cli.ExitOK, towpath.PromotionRolledBack: cli.ExitRolledBack, towpath.PromotionCancelled: cli.ExitError,
	} {
		t.Run("says by its exit code that it was "+string(phase), func(t *testing.T) {
			w := world(phase)
			w.Promotions[0].Phase = phase
			w.Fail = func(_ context.Context, m string) error {
				w.Do(func(w *apitest.World) {
					d := deployment(towpath.DeploymentConcluded)
					w.Promotions[0].Deployment, w.Deployments = d.ID, []towpath.Deployment{d}
				})
				return nil
			}
			for _, args := range [][]string{start, {"experiment", "show", "prod", "--watch"}, {"promotion", "show", "prm_1", "--watch"}} {
				got := newShell(t, apitest.New(t, w)).run(args...)
				if got.code != want || !strings.Contains(got.stdout, "found:        1.4.0 is better on speed.") {
					t.Errorf("%q: exit %d: %s%s", args, got.code, got.stdout, got.stderr)
				}
			}
		})
	}
	t.Run("says that a gate denied", func(t *testing.T) {
		w := world()
		w.Fail = nil
		w.Promotions[0].Phase = towpath.PromotionDenied
		if got := newShell(t, apitest.New(t, w)).run(start[:len(start)-1]...); got.code != cli.ExitDenied {
			t.Errorf("exit %d: %s", got.code, got.stderr)
		}
	})
}
