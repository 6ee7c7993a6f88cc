package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/experiment"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// Experiment is an experiment as its readers see it.
type Experiment struct {
	Deployment  towpath.DeploymentID    `json:"deployment"`
	Promotion   towpath.PromotionID     `json:"promotion"`
	Project     towpath.ProjectName     `json:"project"`
	Environment towpath.EnvironmentName `json:"environment"`
	Component   towpath.ComponentName   `json:"component"`
	Candidate   towpath.CandidateID     `json:"candidate"` // of the new release
	Phase       towpath.DeploymentPhase `json:"phase"`
	Reason      string                  `json:"reason,omitempty"`  // of the phase
	Cause       string                  `json:"cause,omitempty"`   // why it went back before its time
	Waiting     string                  `json:"waiting,omitempty"` // what it waits for
	Experiment  towpath.Experiment      `json:"experiment"`
	By          towpath.AccountName     `json:"by"`
	CreatedAt   time.Time               `json:"createdAt"`
	FinishedAt  time.Time               `json:"finishedAt,omitzero"`
	Report      experiment.Report       `json:"report"`
}

// ExperimentRecord is one with the evidence that its report is made of.
type ExperimentRecord struct {
	Experiment
	Evidence experiment.Evidence `json:"evidence"`
}

// ExperimentList are the last experiments of an environment, newest first.
type ExperimentList struct {
	Items []Experiment `json:"items"`
}

const (
	// listedExperiments is how many are listed at most, and if nobody says how many.
	listedExperiments = 20
	// keptExperiments is of how many the evidence is kept in each environment; what
	// they were and how they ended stays with their deployments.
	keptExperiments = 200
)

// keepExperiment keeps what an experiment has seen, once it goes back. Counts
// are given up after a while; this is not, but for what is long past. That nothing
// can be said of it holds nobody up who goes back.
func (s *Service) keepExperiment(ctx context.Context, tx Tx, d *towpath.Deployment, now time.Time) error {
	if d.Experiment == nil {
		return nil
	}
	e, err := seenOf(ctx, tx, d)
	if e, err = judgeable(d, e, err); err != nil {
		return err
	}
	if e.Lost != "" {
		s.cfg.Log.ErrorContext(ctx, "what an experiment has seen is lost", "deployment", d.ID, "environment", d.Environment, "reason", e.Lost)
	}
	if err := tx.SaveExperiment(ctx, *d, e, now); err != nil {
		return err
	}
	return tx.ForgetExperiments(ctx, d.Project, d.Environment, keptExperiments)
}

// seenOf is the evidence of an experiment by what is counted of it.
func seenOf(ctx context.Context, tx Tx, d *towpath.Deployment) (experiment.Evidence, error) {
	r := &d.Components[0]
	counts, err := tx.TrafficCounts(ctx, d.ID, r.Component)
	if err != nil {
		return experiment.Evidence{}, err
	}
	measurements, err := tx.Measurements(ctx, d.ID, r.Component)
	if err != nil {
		return experiment.Evidence{}, err
	}
	return Compared(d, r, counts, measurements), nil
}

// judgeable is evidence of which a report can be made, and that can be kept: this,
// or none and why. What the database can't do now remains an error.
func judgeable(d *towpath.Deployment, e experiment.Evidence, err error) (experiment.Evidence, error) {
	if err == nil && e.Lost == "" {
		err = e.Validate()
	}
	problem, ok := errors.AsType[*towpath.Error](err)
	if !ok || problem.Kind != towpath.KindInvalid && problem.Kind != towpath.KindInternal {
		return e, err
	}
	why, _ := towpath.PublicMessage(err)
	if problem.Kind == towpath.KindInternal { // a record that can't be read
		why = "no report can be made: " + why
	}
	return experiment.Evidence{
		Old: d.PreviousVersion, New: d.Version, Share: d.Experiment.Share, For: d.Experiment.For,
		Metrics: []experiment.Metric{}, Intervals: []experiment.Interval{}, Lost: strings.TrimSuffix(why, "."),
	}, nil
}

// ExperimentOf reads the experiment of a deployment, with its report.
func (s *Service) ExperimentOf(ctx context.Context, actor towpath.Actor, id towpath.DeploymentID) (ExperimentRecord, error) {
	d, err := s.Get(ctx, actor, id)
	if err != nil {
		return ExperimentRecord{}, err
	}
	if d.Experiment == nil {
		return ExperimentRecord{}, towpath.E(towpath.KindNotFound, "experiment.read", "this deployment is no experiment").On(string(id)).
			WithHint("`towpath experiment list ENV` shows those that are")
	}
	var out ExperimentRecord
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out, err = record(ctx, tx, &d)
		return err
	})
	return out, err
}

// experimentOf is a deployment's experiment, without its report.
func experimentOf(d *towpath.Deployment) Experiment {
	return Experiment{
		Deployment: d.ID, Promotion: d.Promotion, Project: d.Project, Environment: d.Environment, Component: d.Components[0].Component, Candidate: d.Candidate,
		Phase: d.Phase, Reason: d.Reason, Cause: d.Cause, Waiting: d.Waiting, Experiment: *d.Experiment, By: d.By, CreatedAt: d.CreatedAt, FinishedAt: d.FinishedAt,
	}
}

// record puts a deployment's experiment together: by what was kept of it, or by
// what is counted as long as it is under way.
func record(ctx context.Context, tx Tx, d *towpath.Deployment) (ExperimentRecord, error) {
	out := ExperimentRecord{Experiment: experimentOf(d)}
	kept, ok, err := tx.Experiment(ctx, d.ID)
	if err == nil && !ok && towpath.DeploymentTransitions().Terminal(d.Phase) {
		return out, towpath.E(towpath.KindNotFound, "experiment.read", "what this experiment saw was given up: that of the last %d in %s is kept", keptExperiments, d.Environment).
			On(string(d.ID)).WithHint("`towpath deployment show %s` has how it ended; keep reports with `towpath experiment report DEPLOYMENT -o json`", d.ID)
	}
	if err == nil && !ok {
		kept, err = seenOf(ctx, tx, d)
	}
	if kept, err = judgeable(d, kept, err); err != nil {
		return out, err
	}
	out.Evidence = kept
	out.Report, err = experiment.Judge(kept)
	return out, err
}

// reports remembers those of experiments that are over: what they were made of
// does not change any more, and there may be an hour of it for each.
type reports struct {
	mu  sync.Mutex
	all map[towpath.DeploymentID]experiment.Report
}

// maxReports bounds how many are remembered; some are then made once more.
const maxReports = 1000

// of is a deployment's experiment with its report, made only if it has to be.
func (r *reports) of(ctx context.Context, tx Tx, d *towpath.Deployment) (Experiment, error) {
	over := towpath.DeploymentTransitions().Terminal(d.Phase)
	if over {
		r.mu.Lock()
		report, made := r.all[d.ID]
		r.mu.Unlock()
		if made {
			x := experimentOf(d)
			x.Report = report
			return x, nil
		}
	}
	out, err := record(ctx, tx, d)
	if err != nil || !over {
		return out.Experiment, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil || len(r.all) >= maxReports {
		r.all = map[towpath.DeploymentID]experiment.Report{}
	}
	r.all[d.ID] = out.Report
	return out.Experiment, nil
}

// Experiments lists the experiments of an environment, newest first: the one
// that is under way, and the last ones that have ended, so many at most; 0: as
// many as are listed.
func (s *Service) Experiments(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName, limit int) (ExperimentList, error) {
	if limit <= 0 || limit > listedExperiments {
		limit = listedExperiments
	}
	if err := access.Check(actor, access.EnvironmentRead, access.Subject{Project: p, Environment: e}); err != nil {
		return ExperimentList{}, err
	}
	out := ExperimentList{Items: []Experiment{}}
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		out.Items = out.Items[:0]
		env, err := tx.Environment(ctx, p, e)
		if err != nil {
			return err
		}
		ids, err := tx.Experiments(ctx, p, e, limit)
		if err != nil {
			return err
		}
		if env.Active != "" && (len(ids) == 0 || ids[0] != env.Active) {
			ids = append([]towpath.DeploymentID{env.Active}, ids...)
		}
		for _, id := range ids {
			if len(out.Items) == limit {
				break
			}
			d, err := tx.Deployment(ctx, id)
			if err != nil {
				return err
			}
			if d.Experiment == nil { // what is under way need not be one
				continue
			}
			x, err := s.reports.of(ctx, tx, &d)
			if err != nil {
				return err
			}
			out.Items = append(out.Items, x)
		}
		return nil
	})
	return out, err
}

// Winner is the last experiment of an environment, if its report says that the
// new release is better on something and worse on nothing, or said so when it was
// asked to be promoted.
func (s *Service) Winner(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, e towpath.EnvironmentName) (Experiment, error) {
	const op = "experiment.promote"
	all, err := s.Experiments(ctx, actor, p, e, 1)
	if err != nil {
		return Experiment{}, err
	}
	if len(all.Items) == 0 {
		return Experiment{}, towpath.E(towpath.KindConflict, op, "there was no experiment in %s", e).
			WithHint("`towpath experiment start %s RELEASE` begins one", e)
	}
	x := all.Items[0]
	problem, hint, err := s.stillCompared(ctx, x)
	first := ""
	if !towpath.DeploymentTransitions().Terminal(x.Phase) {
		first = fmt.Sprintf("`towpath experiment stop %s`, then ", e)
	}
	switch {
	case err != nil:
		return x, err
	case x.Phase != towpath.DeploymentConcluded && x.Experiment.Ended.IsZero() && x.Phase != towpath.DeploymentSwitching:
		return x, towpath.E(towpath.KindConflict, op, "the experiment with %s is %s: %s", x.Report.New, x.Phase, cmp.Or(x.Reason, "nothing was compared yet")).
			WithHint("`towpath experiment show %s` shows what it found", e)
	case !x.Report.Settled() && !x.Experiment.Promoted:
		return x, towpath.E(towpath.KindConflict, op, "the report does not say that %s is the better one: %s", x.Report.New, x.Report.Sentence).
			WithHint("to have it all the same: %s`towpath promote %s --to %s`", first, x.Report.New, e)
	case problem != "":
		return x, towpath.E(towpath.KindConflict, op, "%s", problem).WithHint("%s", hint)
	}
	return x, nil
}

// stillCompared returns why the release of an experiment can't take the place of
// what its environment runs, and what to do about it; empty: it can.
func (s *Service) stillCompared(ctx context.Context, x Experiment) (problem, hint string, err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.Environment(ctx, x.Project, x.Environment)
		if err != nil {
			return err
		}
		d, err := tx.Deployment(ctx, x.Deployment)
		if err != nil {
			return err
		}
		var active *towpath.Deployment
		if env.Active != "" && env.Active != d.ID {
			other, err := tx.Deployment(ctx, env.Active)
			if err != nil {
				return err
			}
			active = &other
		}
		problem, hint = rollout.StillCompared(&d, env, active)
		return nil
	})
	return problem, hint, err
}
