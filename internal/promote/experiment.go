package promote

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of an experiment. What is counted is not kept for longer than it may
// take.
const (
	shortestExperiment = time.Second
	longestExperiment  = 28 * 24 * time.Hour
	maxMeasures        = 20 // and as many prices
	maxMatches         = 32
	maxQuery           = 4 << 10 // bytes
	maxPattern         = 1 << 10
	maxPrice           = 1_000_000_000
)

// checkExperiment reports all that is wrong with an experiment; nil is none.
// problem says what is wrong with a query.
func checkExperiment(e *towpath.Experiment, problem func(query string) string) error {
	if e == nil {
		return nil
	}
	var wrong []string
	say := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	say(e.Share < 1 || e.Share > 99, "the share is %d %%, and may be 1 to 99", e.Share)
	say(e.For < shortestExperiment || e.For > longestExperiment, "it takes %s, and may take from %s to %d days", e.For, shortestExperiment, longestExperiment/24/time.Hour)
	say(!e.Ended.IsZero() || e.Promoted, "it has ended already")
	checkMeasures(e, problem, say)
	checkTraffic(e, say)
	if len(wrong) == 0 {
		return nil
	}
	return towpath.E(towpath.KindInvalid, "experiment.start", "the experiment can't begin: %s", strings.Join(wrong, "; ")).
		WithHint("`towpath experiment start --help` says what it takes")
}

func checkMeasures(e *towpath.Experiment, problem func(query string) string, say func(bool, string, ...any)) {
	names := map[string]bool{towpath.CostMeasure: true}
	named := func(name string) {
		say(name == "" || names[name], "the name %q of something that is measured is missing or used twice", name)
		names[name] = true
	}
	compares := func(name, query string) {
		say(len(query) > maxQuery, "the query of %q is longer than %d bytes", name, maxQuery)
		o := towpath.Objective{Kind: towpath.ObjectiveMeasure, Query: query}
		say(!o.Compares(), "the query of %q names neither {{revision}}, {{release}} nor {{deployment}}, so it can't tell one from the other", name)
		filled := map[towpath.Placeholder]string{towpath.InInterval: "1m", towpath.InWindow: "1m"}
		for _, p := range towpath.PlaceholdersIn(query) {
			say(!slices.Contains(towpath.Placeholders(), p), "the query of %q has an unknown placeholder {{%s}}", name, p)
			filled[p] = cmp.Or(filled[p], "x")
		}
		why := problem(towpath.Expand(query, filled))
		say(why != "", "the query of %q is none in PromQL: %s", name, why)
	}
	say(len(e.Measures) > maxMeasures, "it has %d measures; %d are the most", len(e.Measures), maxMeasures)
	for _, m := range e.Measures {
		named(m.Name)
		compares(m.Name, m.Query)
		say(m.Better != "more" && m.Better != "less", "of %q, better is %q, and may be more or less", m.Name, m.Better)
	}
	p := e.Prices
	if p == nil {
		return
	}
	price := func(v float64) bool { return v >= 0 && v <= maxPrice }
	say(!price(p.Request), "the price of a request is %v, and may be from 0 to %d", p.Request, maxPrice)
	say(p.Request == 0 && len(p.Items) == 0, "nothing has a price")
	say(len(p.Items) > maxMeasures, "there are %d prices; %d are the most", len(p.Items), maxMeasures)
	for _, x := range p.Items {
		named(towpath.CostItem(x))
		compares(x.Name, x.Query)
		say(!price(x.Price), "the price of %q is %v, and may be from 0 to %d", x.Name, x.Price, maxPrice)
	}
}

func checkTraffic(e *towpath.Experiment, say func(bool, string, ...any)) {
	name := func(name string) bool { return (&http.Cookie{Name: name, Value: "x"}).Valid() == nil } // headers and cookies have the same
	header := func(h string) {
		say(h != "" && !name(h), "%q is no name for a header", h)
		say(strings.EqualFold(h, "Host"), "requests don't have Host among their headers")
	}
	say(len(e.Match) > maxMatches, "it has %d matches; %d are the most", len(e.Match), maxMatches)
	for _, m := range e.Match {
		say((m.Header == "") == (m.Cookie == ""), "a match looks at a header or at a cookie")
		header(m.Header)
		say(m.Cookie != "" && !name(m.Cookie), "%q is no name for a cookie", m.Cookie)
		say((m.Exact == "") == (m.Regex == ""), "a match wants an exact value or a pattern")
		_, err := regexp.Compile(m.Regex)
		say(err != nil || len(m.Regex) > maxPattern, "the pattern %q is none, or too long", m.Regex)
	}
	if s := e.Sticky; s != nil {
		say((s.Header == "") == (s.Cookie == ""), "clients stay by a header or by a cookie")
		say(s.Cookie != "" && !name(s.Cookie), "%q is no name for a cookie", s.Cookie)
		header(s.Header)
		say(s.MaxAge < 0, "the cookie's age is negative")
	}
}

// mayCompare reports why a release can't be compared with what an environment
// runs.
func (s *Service) mayCompare(ctx context.Context, tx Tx, env towpath.Environment, c towpath.Candidate, open []towpath.Promotion, e *towpath.Experiment) error {
	const op = "experiment.start"
	if p := experimenting(open); p != nil {
		return towpath.E(towpath.KindConflict, op, "an experiment with %s is under way in %s", p.Version, env.Name).
			WithHint("`towpath experiment stop %s` ends it", env.Name)
	}
	if p := onItsWay(open, c.ID, env.Hold != nil); p != nil {
		return towpath.E(towpath.KindConflict, op, "%s is on its way into %s already, to stay", c.Version, env.Name).On(string(p.ID)).
			WithHint("`towpath hold %s` and `towpath cancel %s` keep it out; then it can be compared", env.Name, p.ID)
	}
	content, err := s.contents.Content(ctx, c.Project, c.Release)
	if err != nil {
		return err
	}
	var runs *towpath.ReleaseContent
	if env.Release != "" {
		if runs, err = s.contents.Content(ctx, c.Project, env.Release); err != nil {
			return err
		}
	}
	rendered, ok := content.Environment(env.Name)
	if !ok {
		return towpath.E(towpath.KindInvalid, op, "release %s has no environment %s", c.Version, env.Name)
	}
	running, err := tx.Running(ctx, c.Project, env.Name)
	if err != nil {
		return err
	}
	if problem, hint := rollout.Experiment(rollout.New(content, rendered, running, nil), content, runs, e); problem != "" {
		return towpath.E(towpath.KindConflict, op, "%s can't be compared in %s: %s", c.Version, env.Name, problem).WithHint("%s", hint)
	}
	return nil
}

// onItsWay is the promotion by which a candidate will stay, unless a hold stops
// it.
func onItsWay(open []towpath.Promotion, c towpath.CandidateID, held bool) *towpath.Promotion {
	i := slices.IndexFunc(open, func(p towpath.Promotion) bool {
		return p.Experiment == nil && p.Candidate == c && (!held || p.Mode != towpath.PromotionAutomatic)
	})
	if i < 0 {
		return nil
	}
	return &open[i]
}

func experimenting(open []towpath.Promotion) *towpath.Promotion {
	i := slices.IndexFunc(open, func(p towpath.Promotion) bool { return p.Experiment != nil })
	if i < 0 {
		return nil
	}
	return &open[i]
}

// StopExperiment ends the experiment of an environment, or withdraws it when it
// has not begun: what ran before gets all of the traffic again. Nothing is put
// on hold. Stopping what is about to end changes nothing.
func (s *Service) StopExperiment(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, reason string) (towpath.Promotion, error) {
	subject := access.Subject{Project: p, Environment: e}
	if err := cmp.Or(access.Check(actor, access.EnvironmentRead, subject), access.Check(actor, access.PromotionCancel, subject)); err != nil {
		return towpath.Promotion{}, err
	}
	now := s.cfg.Now()
	var out towpath.Promotion
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.LockEnvironment(ctx, p, e)
		if err != nil {
			return noEnvironment(ctx, tx, "experiment.stop", p, e, err)
		}
		open, err := tx.OpenPromotions(ctx, p, e)
		if err != nil {
			return err
		}
		x := experimenting(open)
		if x == nil {
			return towpath.E(towpath.KindConflict, "experiment.stop", "there is no experiment in %s", env.Name).
				WithHint("`towpath experiment list %s` shows those that were", e)
		}
		out, err = s.endExperiment(ctx, tx, actor, x.ID, reason, now)
		return err
	})
	return out, err
}

// endExperiment has what ran before get all of the traffic again, once: an
// experiment that goes back already goes on with that.
func (s *Service) endExperiment(ctx context.Context, tx Tx, actor towpath.Actor, id towpath.PromotionID, reason string, now time.Time) (towpath.Promotion, error) {
	p, err := tx.LockPromotion(ctx, id)
	if err != nil || towpath.PromotionTransitions().Terminal(p.Phase) { // it ended a moment ago
		return p, err
	}
	if p.Phase == towpath.PromotionDeploying {
		d, err := tx.LockDeployment(ctx, p.Deployment)
		if err != nil || d.Abort != "" || d.Phase != towpath.DeploymentPreparing && d.Phase != towpath.DeploymentSwitching {
			return p, err
		}
	}
	return p, s.cancel(ctx, tx, actor, &p, reason, now)
}

// PromoteExperiment asks for the release of an experiment to be promoted, by the
// ordinary gates, and ends the experiment, both or neither. The promotion waits
// until what ran before has the traffic again; that it is denied brings no
// experiment back. Asking twice asks once. It takes the place of what the release was
// compared with, and is refused or denied when that does not run any more.
func (s *Service) PromoteExperiment(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, of towpath.DeploymentID) (towpath.Promotion, error) {
	subject := access.Subject{Project: p, Environment: e}
	if err := cmp.Or(access.Check(actor, access.PromotionRequest, subject), access.Check(actor, access.PromotionCancel, subject)); err != nil {
		return towpath.Promotion{}, err
	}
	now := s.cfg.Now()
	id := towpath.NewID[towpath.PromotionID]("prm", now)
	var out towpath.Promotion
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		d, err := s.compared(ctx, tx, p, e, of)
		if err != nil {
			return err
		}
		var open []towpath.Promotion
		out, open, err = s.request(ctx, tx, actor, Request{
			Project: p, Environment: e, Release: string(d.Candidate),
			compared: &towpath.Compared{Release: d.Previous, Version: d.PreviousVersion, Experiment: d.ID},
		}, id, now)
		x := experimenting(open)
		if err != nil || x == nil || x.Candidate != d.Candidate {
			return err
		}
		ended, err := s.endExperiment(ctx, tx, actor, x.ID, "its release is promoted", now)
		if err != nil {
			return err
		}
		return promoted(ctx, tx, ended.Deployment)
	})
	failpoint.Hit("promotion.requested")
	return out, err
}

// compared is the deployment of an experiment whose release may take the place of
// what its environment runs. It locks the environment: nothing else begins there.
func (s *Service) compared(ctx context.Context, tx Tx, p towpath.ProjectName, e towpath.EnvironmentName, id towpath.DeploymentID) (d towpath.Deployment, err error) {
	const op = "experiment.promote"
	env, err := tx.LockEnvironment(ctx, p, e)
	if err != nil {
		return d, noEnvironment(ctx, tx, op, p, e, err)
	}
	if d, err = tx.Deployment(ctx, id); err != nil {
		return d, err
	}
	if d.Experiment == nil || d.Project != p || d.Environment != e {
		return d, towpath.E(towpath.KindNotFound, op, "this deployment is no experiment in %s", e).On(string(id)).
			WithHint("`towpath experiment list %s` shows those that are", e)
	}
	var active *towpath.Deployment
	if env.Active != "" && env.Active != id {
		other, err := tx.Deployment(ctx, env.Active)
		if err != nil {
			return d, err
		}
		active = &other
	}
	if problem, hint := rollout.StillCompared(&d, env, active); problem != "" {
		return d, towpath.E(towpath.KindConflict, op, "%s", problem).WithHint("%s", hint)
	}
	return d, nil
}

// promoted notes that the release of an experiment was asked to be promoted. What
// is counted until all of the traffic is back may change its report; who repeats
// the request, because the answer was lost, is not told that by then.
func promoted(ctx context.Context, tx Tx, id towpath.DeploymentID) error {
	if id == "" { // it waits for a gate, and has no report
		return nil
	}
	d, err := tx.LockDeployment(ctx, id)
	if err != nil || d.Experiment == nil || d.Experiment.Promoted {
		return err
	}
	e := *d.Experiment
	e.Promoted = true
	d.Experiment = &e
	return tx.SaveDeployment(ctx, d)
}
