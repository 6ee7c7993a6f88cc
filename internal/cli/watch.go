package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
)

// snapshot is what is known of a promotion, its deployment and, of an experiment,
// what that has found; each may be absent.
type snapshot struct {
	promotion  *towpath.Promotion
	deployment *towpath.Deployment
	experiment *deploy.Experiment
}

// ended: nothing will change any more.
func (n snapshot) ended() bool {
	if p := n.promotion; p != nil && !towpath.PromotionTransitions().Terminal(p.Phase) {
		return false
	}
	d := n.deployment
	return d == nil || towpath.DeploymentTransitions().Terminal(d.Phase)
}

// waitsForPeople is the verdicts of gates that don't open before somebody does
// something: approves, signs, brings back what was lost, or lifts a hold or a freeze that
// has no end.
func (n snapshot) waitsForPeople() []towpath.Verdict {
	if n.promotion == nil || n.promotion.Phase != towpath.PromotionWaiting {
		return nil
	}
	var out []towpath.Verdict
	for _, v := range n.promotion.Verdicts {
		if v.Outcome != towpath.Wait {
			continue
		}
		switch v.Gate {
		case towpath.GateApprovals, towpath.GateHold, towpath.GateSigned, towpath.GateProvenance, towpath.GateSBOM, towpath.GateScan:
			out = append(out, v)
		case towpath.GateWindows:
			if v.Until.IsZero() {
				out = append(out, v)
			}
		case towpath.GatePlan, towpath.GateMirrored:
			if bringsNothing(v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// bringsNothing reports whether a gate waits for what does not come by itself: what
// was lost, or what no source covers.
func bringsNothing(v towpath.Verdict) bool {
	var judged struct{ Lost, Uncovered []any }
	return json.Unmarshal(v.Inputs, &judged) == nil && len(judged.Lost)+len(judged.Uncovered) > 0
}

// stands reports whether people have to do something: at a gate, or in what was
// deployed already.
func (n snapshot) stands() bool {
	return len(n.waitsForPeople()) > 0 || n.deployment != nil && n.deployment.Asks
}

// outcome is the exit code of what was watched.
func (n snapshot) outcome() error {
	switch {
	case n.promotion != nil:
		switch n.promotion.Phase {
		case towpath.PromotionSucceeded, towpath.PromotionConcluded:
			return nil
		case towpath.PromotionDenied:
			return outcome(ExitDenied)
		case towpath.PromotionRolledBack:
			return outcome(ExitRolledBack)
		case towpath.PromotionCancelled:
			if d := n.deployment; d != nil && d.Phase == towpath.DeploymentPreempted { // a rollback took over
				return outcome(ExitRolledBack)
			}
		}
	case n.deployment != nil:
		switch n.deployment.Phase {
		case towpath.DeploymentSucceeded, towpath.DeploymentConcluded:
			return nil
		case towpath.DeploymentRolledBack:
			return outcome(ExitRolledBack)
		}
	}
	return outcome(ExitError)
}

func (n snapshot) view(now time.Time) view {
	v := view{over: n.ended()}
	if p := n.promotion; p != nil {
		v.title = fmt.Sprintf("promotion of %s into %s: %s", orDash(p.Version), p.Environment, p.Phase)
		if p.Reason != "" {
			v.title += ": " + p.Reason
		}
	}
	if d := n.deployment; d != nil {
		if n.promotion == nil || n.promotion.Phase == towpath.PromotionDeploying {
			v.title = fmt.Sprintf("%s: %s", doingIn(*d), d.Phase)
		}
		if x := n.experiment; x != nil {
			v.title = fmt.Sprintf("%s: %s: %s", doingIn(*d), d.Phase, x.Report.Sentence)
		}
		if d.Cause != "" && !strings.Contains(v.title, d.Cause) {
			v.title += ": " + d.Cause
		}
		v.tree, v.waiting = deploymentTree(*d), waitingFor(*d, now)
	}
	return v
}

// waitingFor is what a deployment waits for, agents that are away first.
func waitingFor(d towpath.Deployment, now time.Time) string {
	var all []string
	for _, a := range d.Away {
		all = append(all, awaited(a, now))
	}
	if d.Waiting != "" {
		all = append(all, d.Waiting)
	}
	return strings.Join(all, "; ")
}

// follower follows something until it stops.
type follower struct {
	fetch  func(context.Context) (snapshot, error)
	wake   <-chan struct{} // something may have changed
	stop   func(snapshot) bool
	screen screen
	now    func() time.Time
	poll   time.Duration
	redraw time.Duration
}

// follow returns the last snapshot: the one at which it stopped, or the last
// one before ctx ended or fetch failed for good. A server that is away for a
// while is waited for.
func (f follower) follow(ctx context.Context) (last snapshot, err error) {
	poll, redraw := time.NewTicker(f.poll), time.NewTicker(f.redraw)
	defer poll.Stop()
	defer redraw.Stop()
	known, away := false, false
	for {
		n, err := f.fetch(ctx)
		switch {
		case ctx.Err() != nil:
			return last, ctx.Err()
		case err == nil:
			last, known, away = n, true, false
			now := f.now()
			f.screen.show(n.view(now), now)
			if f.stop(n) {
				return last, nil
			}
		case towpath.KindOf(err) != towpath.KindUnavailable:
			return last, err
		case !away:
			away = true
			f.screen.say("the server does not answer; still trying (what it does goes on)", f.now())
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return last, ctx.Err()
			case <-f.wake:
				again = true
			case <-poll.C:
				again = true
			case <-redraw.C:
				if known && !away {
					now := f.now()
					f.screen.show(last.view(now), now)
				}
			}
		}
	}
}

// watchPromotion follows a promotion and its deployment.
func (s *session) watchPromotion(ctx context.Context, c *client.Client, p towpath.Promotion, throughApproval bool) error {
	resume := "towpath promotion show " + string(p.ID) + " --watch"
	n, err := s.watch(ctx, c, p.Project, resume, func(ctx context.Context) (snapshot, error) {
		p, err := c.Promotion(ctx, p.ID)
		if err != nil || p.Deployment == "" {
			return snapshot{promotion: &p}, err
		}
		d, err := c.Deployment(ctx, p.Deployment)
		if err != nil || p.Experiment == nil {
			return snapshot{promotion: &p, deployment: &d}, err
		}
		x, err := c.Experiment(ctx, p.Deployment)
		return snapshot{promotion: &p, deployment: &d, experiment: &x.Experiment}, err
	}, func(n snapshot) bool { return n.ended() || n.stands() && !throughApproval })
	if err != nil {
		return err
	}
	p = *n.promotion
	if x := n.experiment; x != nil {
		if err := s.printExperiment(*x); err != nil {
			return err
		}
	} else if err := s.print(result{data: p, names: []string{string(p.ID)}, show: func(pg *page) {
		pg.line("%s %s", p.ID, pg.style.word(string(p.Phase)))
	}}); err != nil {
		return err
	}
	if !n.ended() {
		for _, v := range n.waitsForPeople() {
			if v.Gate == towpath.GateApprovals {
				s.say("it waits for approval: somebody else runs towpath approve %s", p.ID)
				continue
			}
			s.say("it waits: %s", strings.Join(v.Reasons, " "))
			s.say("%s %s", s.style.note("hint:"), v.Hint)
		}
		if d := n.deployment; d != nil && d.Asks {
			s.say("it waits: %s", d.Waiting)
		}
		s.say("go on watching with: %s --through-approval", resume)
		return outcome(ExitWaiting)
	}
	return n.outcome()
}

// watchDeployment follows a deployment.
func (s *session) watchDeployment(ctx context.Context, c *client.Client, d towpath.Deployment) error {
	n, err := s.watch(ctx, c, d.Project, "towpath deployment show "+string(d.ID)+" --watch", func(ctx context.Context) (snapshot, error) {
		d, err := c.Deployment(ctx, d.ID)
		return snapshot{deployment: &d}, err
	}, snapshot.ended)
	if err != nil {
		return err
	}
	d = *n.deployment
	if err := s.print(result{data: d, names: []string{string(d.ID)}, show: func(p *page) {
		p.line("%s %s", d.ID, p.style.word(string(d.Phase)))
	}}); err != nil {
		return err
	}
	return n.outcome()
}

// watch follows, woken by the ledger. Ctrl-C detaches.
func (s *session) watch(ctx context.Context, c *client.Client, project towpath.ProjectName, resume string,
	fetch func(context.Context) (snapshot, error), stop func(snapshot) bool,
) (snapshot, error) {
	wake := make(chan struct{}, 1)
	after, unknown := c.Newest(ctx, project)
	events, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if unknown != nil {
			return
		}
		// Without events it polls, so their errors don't matter here.
		_ = c.Watch(events, project, after, func(ledger.Entry) error {
			select {
			case wake <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	defer func() { cancel(); <-done }()
	n, err := follower{
		fetch: fetch, wake: wake, stop: stop, screen: s.newScreen(), now: s.apps.Now,
		poll: 2 * time.Second, redraw: 500 * time.Millisecond,
	}.follow(ctx)
	if err == nil {
		return n, nil
	}
	if ctx.Err() != nil {
		s.say("\ndetached; it goes on. Resume with: %s", resume)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return n, outcome(ExitInterrupted)
	}
	return n, err
}
