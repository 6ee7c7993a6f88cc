package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
)

// tape is what a fake server shows, by time since the start.
type tape struct {
	start time.Time
	at    []time.Duration
	what  []any // towpath.DeploymentPhase or error
}

func (t tape) fetch(context.Context) (snapshot, error) {
	var now any
	for i, at := range t.at {
		if time.Since(t.start) >= at {
			now = t.what[i]
		}
	}
	if err, ok := now.(error); ok {
		return snapshot{}, err
	}
	phase := now.(towpath.DeploymentPhase)
	step := towpath.Step{Verb: towpath.VerbPrepare, Phase: towpath.OperationRunning, Began: t.start}
	if phase != towpath.DeploymentPreparing {
		step.Phase, step.Ended = towpath.OperationSucceeded, t.start.Add(26*time.Second)
	}
	if phase == towpath.DeploymentRolledBack {
		step.Phase, step.Message, step.Log = towpath.OperationFailed, "it crashed", []string{"panic: oh"}
	}
	return snapshot{deployment: &towpath.Deployment{
		ID: "dep_1", Environment: "dev", Version: "1.0.0", Kind: towpath.DeploymentPromotion, Phase: phase,
		Components: []towpath.Rollout{{Component: "web", Action: towpath.ActionCreate, Steps: []towpath.Step{step}}},
	}}, nil
}

// watchTape follows a tape on a screen that is no terminal.
func watchTape(ctx context.Context, t tape) (string, snapshot, error) {
	var out strings.Builder
	n, err := follower{
		fetch: t.fetch, stop: snapshot.ended, screen: &plainScreen{out: &out, states: map[string]string{}}, now: time.Now,
		poll: 2 * time.Second, redraw: 500 * time.Millisecond,
	}.follow(ctx)
	return out.String(), n, err
}

func TestFollow(t *testing.T) {
	away := towpath.E(towpath.KindUnavailable, "", "the server does not answer")
	run := func(t *testing.T, name string, check func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, check) })
	}
	run(t, "prints a line for each change, and one when ten seconds pass without", func(t *testing.T) {
		out, n, err := watchTape(t.Context(), tape{
			time.Now(), []time.Duration{0, 26 * time.Second}, []any{towpath.DeploymentPreparing, towpath.DeploymentSucceeded},
		})
		if err != nil || n.outcome() != nil {
			t.Fatalf("%v, %v", err, n.outcome())
		}
		want := []string{
			"00:00:00 promotion of 1.0.0 into dev: preparing",
			"00:00:00 web running",
			"00:00:00 web: prepare running",
			"00:00:10 still at it: web: prepare 10.0s",
			"00:00:20 still at it: web: prepare 20.0s",
			"00:00:26 promotion of 1.0.0 into dev: succeeded",
			"00:00:26 web done (26.0s)",
			"00:00:26 web: prepare done (26.0s)",
		}
		if got := strings.TrimSpace(out); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s", got)
		}
	})
	run(t, "shows the log of a step that failed, and exits with 6 when it was rolled back", func(t *testing.T) {
		out, n, err := watchTape(t.Context(), tape{
			time.Now(), []time.Duration{0, 4 * time.Second}, []any{towpath.DeploymentPreparing, towpath.DeploymentRolledBack},
		})
		var code outcome
		if err != nil || !errors.As(n.outcome(), &code) || code != ExitRolledBack {
			t.Errorf("%v, %v", err, n.outcome())
		}
		if !strings.Contains(out, "web: prepare failed (26.0s): it crashed\n         | panic: oh\n") {
			t.Errorf("got\n%s", out)
		}
	})
	run(t, "says why it goes back, and who was judged worse", func(t *testing.T) {
		d := towpath.Deployment{
			ID: "dep_1", Environment: "dev", Version: "1.0.0", Kind: towpath.DeploymentPromotion, Phase: towpath.DeploymentRolledBack,
			Cause: "the new revision of web is worse at 25 %: instance 0 exited with status 3",
			Components: []towpath.Rollout{{
				Component: "web", Action: towpath.ActionReplace, Canary: &towpath.Canary{Judgement: &towpath.Judgement{Outcome: towpath.JudgedWorse}},
				Steps: []towpath.Step{{Verb: towpath.VerbPrepare, Phase: towpath.OperationSucceeded, Began: time.Now(), Ended: time.Now()}},
			}},
		}
		v := snapshot{deployment: &d}.view(time.Now())
		if v.title != "promotion of 1.0.0 into dev: rolled-back: "+d.Cause || v.tree[0].state != StepFailed || v.tree[0].detail != "judged worse" {
			t.Errorf("got %q, and %+v", v.title, v.tree[0])
		}
	})
	run(t, "says why it goes back once", func(t *testing.T) {
		said := "errors: Error rate 50 % of 40 requests beside 0 % of 360; worse."
		d := towpath.Deployment{Cause: "the new revision of web is worse at 25 %: " + said, Components: []towpath.Rollout{{
			Component: "web", Canary: &towpath.Canary{Judgement: &towpath.Judgement{Outcome: towpath.JudgedWorse, Sentence: said}},
		}}}
		for _, reason := range []string{d.Cause, "the previous release runs again"} {
			d.Reason = reason
			p := page{now: time.Now()}
			showDeployment(&p, d)
			if strings.Count(p.String(), said) != 1 || !strings.Contains(p.String(), "judged:       web: worse\n") {
				t.Errorf("with the reason %q it shows\n%s", reason, p.String())
			}
		}
		j := d.Components[0].Canary.Judgement
		for _, counted := range []time.Time{{}, time.Date(2026, 11, 22, 9, 20, 1, 0, time.UTC)} {
			j.Until, j.Counted = time.Date(2026, 11, 22, 9, 20, 7, 0, time.UTC), counted // the clock of the place is ahead
			p := page{now: time.Now()}
			showDeployment(&p, d)
			if until := at(cmp.Or(j.Counted, j.Until)); !strings.Contains(p.String(), "judged:       web: worse, judged until "+until+"\n") {
				t.Errorf("it does not say %s:\n%s", until, p.String())
			}
		}
		j.Until, j.Counted = time.Time{}, time.Time{}
		d.Cause, d.Reason = "aborted by ana", ""
		p := page{now: time.Now()}
		showDeployment(&p, d)
		if !strings.Contains(p.String(), "cause:        aborted by ana\n") || !strings.Contains(p.String(), "judged:       web: worse. "+said+"\n") {
			t.Errorf("it shows\n%s", p.String())
		}
	})
	run(t, "says at once of what there is no evidence for the same cause", func(t *testing.T) {
		p := page{now: time.Now()}
		showStatus(&p, inventory.Status{Environment: "dev", Unseen: []towpath.Unseen{
			{Component: "web", Objective: "errors", Why: "Nothing was counted."}, {Component: "api", Objective: "errors", Why: "Nothing was counted."},
			{Component: "web", Objective: "speed", Why: "Nothing was counted."}, {Component: "web", Objective: "cost", Why: "It errs.", By: "ana"},
			{Component: "mail", Objective: "errors", Why: "it is the first", Unasked: true}, // that is no news
		}})
		const of, blank = " when it got all of the traffic: ", "              no evidence of "
		if all := "unseen:       no evidence of errors, speed of web" + of + "Nothing was counted\n" + blank + "errors of api" + of + "Nothing was counted\n" +
			blank + "cost of web" + of + "It errs (ana let it pass)\n"; !strings.Contains(p.String(), all) {
			t.Errorf("it shows\n%s", p.String())
		}
	})
	run(t, "names the agents that are waited for, and since when", func(t *testing.T) {
		d := towpath.Deployment{
			ID: "dep_1", Environment: "dev", Version: "1.0.0", Kind: towpath.DeploymentPromotion, Phase: towpath.DeploymentPreparing,
			Away: []towpath.AgentAway{
				{Place: "eu", Agent: "box-1", Seen: time.Now().Add(-3 * time.Minute), Components: []towpath.ComponentName{"web", "api"}},
				{Place: "moon", Components: []towpath.ComponentName{"db"}},
			},
			Waiting: "mail has 10 % of the traffic",
		}
		const first = "web, api waits for agent box-1 of place eu, last seen 3m ago"
		const second = "db waits for an agent of place moon, which none has ever connected for"
		if v := (snapshot{deployment: &d}).view(time.Now()); v.waiting != first+"; "+second+"; "+d.Waiting {
			t.Errorf("a watch says that it waits: %s", v.waiting)
		}
		p := page{now: time.Now()}
		showDeployment(&p, d)
		const blank = "              "
		if all := "waiting:      " + first + "\n" + blank + second + "\n" + blank + d.Waiting + "\n"; !strings.Contains(p.String(), all) {
			t.Errorf("it shows\n%s", p.String())
		}
		p.Reset()
		showStatus(&p, inventory.Status{Environment: "dev", Deployment: &d})
		if !strings.Contains(p.String(), "waiting:      "+first+"\n") {
			t.Errorf("the status says\n%s", p.String())
		}
		var s session
		s.apps.Now, s.stdout = time.Now, &p
		if row := s.statusResult([]inventory.Status{{Environment: "dev", Deployment: &d}}).table.rows[0]; !slices.Contains(row, "promotion of 1.0.0 (agent away)") {
			t.Errorf("in the list it is %q", row)
		}
		asking := towpath.Deployment{Kind: towpath.DeploymentPromotion, Version: "1.0.0", Asks: true}
		if row := s.statusResult([]inventory.Status{{Environment: "dev", Deployment: &asking}}).table.rows[0]; !slices.Contains(row, "1.0.0 waits for you") {
			t.Errorf("in the list it is %q, and it waits for a person", row)
		}
	})
	run(t, "waits for a server that is away, and says so once", func(t *testing.T) {
		out, n, err := watchTape(t.Context(), tape{
			time.Now(), []time.Duration{0, 3 * time.Second, 60 * time.Second}, []any{towpath.DeploymentPreparing, away, towpath.DeploymentSucceeded},
		})
		if err != nil || !n.ended() || strings.Count(out, "does not answer") != 1 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	run(t, "ends when it is refused", func(t *testing.T) {
		_, _, err := watchTape(t.Context(), tape{time.Now(), []time.Duration{0}, []any{towpath.E(towpath.KindForbidden, "", "no")}})
		if towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("got %v", err)
		}
	})
	run(t, "ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, n, err := watchTape(ctx, tape{time.Now(), []time.Duration{0}, []any{towpath.DeploymentPreparing}})
		if !errors.Is(err, context.DeadlineExceeded) || n.deployment == nil {
			t.Errorf("got %v, %v", n, err)
		}
	})
}

func TestSnapshot_outcome(t *testing.T) {
	codes := map[towpath.PromotionPhase]int{
		towpath.PromotionSucceeded: ExitOK, towpath.PromotionConcluded: ExitOK, towpath.PromotionDenied: ExitDenied, towpath.PromotionFailed: ExitError,
		towpath.PromotionRolledBack: ExitRolledBack, towpath.PromotionSuperseded: ExitError, towpath.PromotionCancelled: ExitError,
	}
	table := towpath.PromotionTransitions()
	for _, row := range table.Rows() {
		phase := towpath.PromotionPhase(row.To)
		if !table.Terminal(phase) {
			continue
		}
		t.Run("a promotion that is "+row.To+" has its exit code", func(t *testing.T) {
			want, ok := codes[phase]
			if got := exitCode(t.Context(), snapshot{promotion: &towpath.Promotion{Phase: phase}}.outcome()); !ok || got != want {
				t.Errorf("got %d", got)
			}
		})
	}
}

// TestSnapshot_TakenOver: the promotion was cancelled because a rollback took its
// place, and that is what happened.
func TestSnapshot_TakenOver(t *testing.T) {
	for phase, want := range map[towpath.DeploymentPhase]int{towpath.DeploymentPreempted: ExitRolledBack, towpath.DeploymentFailed: ExitError} {
		n := snapshot{promotion: &towpath.Promotion{Phase: towpath.PromotionCancelled}, deployment: &towpath.Deployment{Phase: phase}}
		if got := exitCode(t.Context(), n.outcome()); got != want {
			t.Errorf("cancelled, with a deployment that is %s: %d, want %d", phase, got, want)
		}
	}
}

func TestView_busy(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	tree := []branch{
		{name: "db", state: StepDone}, {depth: 1, name: "prepare", state: StepDone},
		{name: "api", state: StepRunning, began: now.Add(-time.Minute)}, {depth: 1, name: "shift 10 %", state: StepRunning, began: now.Add(-5 * time.Second)},
		{name: "web", state: StepRunning, began: now.Add(-time.Minute)}, {depth: 1, name: "switch", state: StepPending},
	}
	if got := (view{title: "it", tree: tree}).busy(now); got != "api: shift 10 % 5.0s" {
		t.Errorf("it is at %q, want the step that runs", got)
	}
	tree[3].state = StepDone
	if got := (view{title: "it", tree: tree}).busy(now); got != "api 1m00s" {
		t.Errorf("it is at %q, want the first component that is under way", got)
	}
	if got := (view{title: "it", tree: tree, waiting: "web waits for a person"}).busy(now); got != "web waits for a person" {
		t.Errorf("it is at %q, want what it waits for", got)
	}
	if got := (view{title: "it"}).busy(now); got != "it" {
		t.Errorf("it is at %q", got)
	}
}

func TestLiveScreen(t *testing.T) {
	tree := func(n int) (out []branch) {
		for range n {
			out = append(out, branch{name: strings.Repeat("x", 200), state: StepRunning})
		}
		return out
	}
	var out strings.Builder
	s := &liveScreen{out: &out, size: func() (int, int) { return 40, 10 }}
	t.Run("says what it waits for, until it is over", func(t *testing.T) {
		var out strings.Builder
		s := &liveScreen{out: &out, size: s.size}
		if s.show(view{title: "it", waiting: "for you"}, time.Now()); !strings.Contains(out.String(), "waiting: for you\n") {
			t.Errorf("it shows %q", out.String())
		}
		out.Reset()
		if s.show(view{title: "it", waiting: "for you", over: true}, time.Now()); strings.Contains(out.String(), "waiting") {
			t.Errorf("it shows %q at its end", out.String())
		}
	})
	t.Run("draws over what it has drawn, within the terminal", func(t *testing.T) {
		s.show(view{title: "work", tree: tree(50)}, time.Time{})
		first := out.String()
		if n := strings.Count(first, "\n"); n != 9 {
			t.Errorf("%d lines in a terminal of 10", n)
		}
		for _, l := range strings.Split(first, "\n") {
			if len([]rune(l)) > 40 {
				t.Errorf("a line of %d in a terminal of 40", len(l))
			}
		}
		out.Reset()
		s.show(view{title: "work", tree: tree(1)}, time.Time{})
		if !strings.HasPrefix(out.String(), "\x1b[9A\x1b[J") {
			t.Errorf("got %q", out.String())
		}
	})
	t.Run("leaves the end standing", func(t *testing.T) {
		out.Reset()
		s.show(view{title: "work", tree: tree(50), over: true}, time.Time{})
		if n := strings.Count(out.String(), "\n"); n != 51 {
			t.Errorf("%d lines", n)
		}
	})
}
