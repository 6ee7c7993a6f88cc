package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/failpoint"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/towpath"
)

// AlertReport says what came of alerts.
type AlertReport struct {
	Acted    int           `json:"acted"`
	Repeated int           `json:"repeated"`
	Ignored  int           `json:"ignored"`
	Alerts   []AlertResult `json:"alerts"` // in the order in which they came
}

// AlertResult says what came of one alert.
type AlertResult struct {
	Alert       string                  `json:"alert"` // its name
	Fingerprint string                  `json:"fingerprint"`
	Project     towpath.ProjectName     `json:"project,omitempty"`
	Environment towpath.EnvironmentName `json:"environment,omitempty"`
	Outcome     towpath.AlertOutcome    `json:"outcome"`
	Reason      string                  `json:"reason"`
	Deployment  towpath.DeploymentID    `json:"deployment,omitempty"` // that it blames
}

// Bounds of what is kept of alerts.
const (
	keepAlerts    = 30 * 24 * time.Hour
	ignoredAnHour = 20 // alerts that nothing was done for, that an environment keeps and records
)

var namePattern = regexp.MustCompile(towpath.NamePattern)

// Alerts hears what an alert manager says, and takes back what was just deployed
// for those that ask for it. An alert acts once, however often it is told: who
// tells it repeats it for hours, and there may be two of them. What is ignored
// is answered, not refused: an alert manager would only send it again.
func (s *Service) Alerts(ctx context.Context, actor towpath.Actor, alerts []towpath.Alert) (AlertReport, error) {
	if !access.Somewhere(actor, access.AlertPost) {
		return AlertReport{}, access.Check(actor, access.AlertPost, access.Subject{})
	}
	now := s.cfg.Now()
	out := AlertReport{Alerts: make([]AlertResult, len(alerts))}
	var failed []error
	groups, order := map[string][]heard{}, []string{}
	for i, a := range alerts {
		x := heard{alert: a, result: &out.Alerts[i]}
		if *x.result = asks(actor, a); x.result.Outcome != "" {
			continue
		}
		key := environmentKey(x.result.Project, x.result.Environment)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], x)
	}
	for _, key := range order { // one that can't be asked now keeps the others from nothing
		failed = append(failed, s.heed(ctx, actor, groups[key], now))
	}
	failpoint.Hit("rollout.alerted")
	for _, r := range out.Alerts {
		switch r.Outcome {
		case towpath.AlertActed:
			out.Acted++
		case towpath.AlertRepeated:
			out.Repeated++
		case towpath.AlertIgnored:
			out.Ignored++
		}
	}
	return out, errors.Join(failed...)
}

// heard is an alert and where to say what came of it.
type heard struct {
	alert  towpath.Alert
	result *AlertResult
}

// asks begins the result of an alert; one that asks for nothing, or for what its
// sender may not have, is ignored at once.
func asks(actor towpath.Actor, a towpath.Alert) AlertResult {
	r := AlertResult{
		Alert: a.Name(), Fingerprint: a.Fingerprint,
		Project: towpath.ProjectName(a.Label("project")), Environment: towpath.EnvironmentName(a.Label("environment")),
	}
	ignore := func(format string, args ...any) AlertResult {
		r.Outcome, r.Reason = towpath.AlertIgnored, fmt.Sprintf(format, args...)
		return r
	}
	switch {
	case !a.Firing:
		return ignore("it is resolved, and nothing is undone by itself")
	case a.Action() == "":
		return ignore("it has no label %saction, so it asks for nothing", towpath.LabelPrefix)
	case a.Action() != towpath.AlertRollback:
		return ignore("%saction is %q, and only %s is known", towpath.LabelPrefix, a.Action(), towpath.AlertRollback)
	case r.Project == "" || r.Environment == "":
		return ignore("it needs the labels project and environment")
	case !namePattern.MatchString(string(r.Project)) || !namePattern.MatchString(string(r.Environment)):
		return ignore("its labels project and environment are no names")
	case a.StartsAt.IsZero():
		return ignore("it does not say since when it fires")
	}
	if _, ok := a.Since(); !ok {
		return ignore("its label %sfor is no time such as 5m or 1h30m", towpath.LabelPrefix)
	}
	if err := access.Check(actor, access.AlertPost, access.Subject{Project: r.Project, Environment: r.Environment}); err != nil {
		m, _ := towpath.PublicMessage(err)
		return ignore("%s", m)
	}
	return r
}

// heed does what the alerts of one environment ask for, oldest first.
func (s *Service) heed(ctx context.Context, actor towpath.Actor, all []heard, now time.Time) error {
	slices.SortStableFunc(all, func(a, b heard) int { return a.alert.StartsAt.Compare(b.alert.StartsAt) })
	id := towpath.NewID[towpath.DeploymentID]("dep", now)
	p, e := all[0].result.Project, all[0].result.Environment
	return s.withContents(ctx, s.store.Update, p, func(ctx context.Context, tx Tx, c *contents) error {
		env, err := tx.LockEnvironment(ctx, p, e)
		if towpath.KindOf(err) == towpath.KindNotFound {
			for _, x := range all {
				x.result.Outcome, x.result.Reason = towpath.AlertIgnored, fmt.Sprintf("there is no environment %s in a project %s", e, p)
			}
			return nil
		}
		if err != nil {
			return err
		}
		h := hearing{Service: s, tx: tx, read: c, actor: actor, env: env, id: id, now: now}
		if h.recent, err = h.deployments(ctx); err != nil {
			return err
		}
		for _, x := range all {
			if err := h.hear(ctx, x.alert, x.result); err != nil {
				return err
			}
		}
		return nil
	})
}

// hearing is one environment being told of alerts, in one transaction.
type hearing struct {
	*Service
	tx    Tx
	read  *contents
	actor towpath.Actor
	env   towpath.Environment
	// recent are the last deployments that brought something, newest first, and last
	// the one that could be to blame; nil: none.
	recent []towpath.Deployment
	last   *towpath.Deployment
	id     towpath.DeploymentID // of a rollback; there is one at most
	now    time.Time
	kept   *int // alerts that were kept in the last hour; nil: not counted yet
}

// deployments are the last ones that brought something.
func (h *hearing) deployments(ctx context.Context) ([]towpath.Deployment, error) {
	return h.tx.Deployments(ctx, Filter{Project: h.env.Project, Environment: h.env.Name, Brings: true}, deployments)
}

// lastFor is the last of them that could be to blame for an alert.
func (h *hearing) lastFor(a towpath.Alert) *towpath.Deployment {
	for i := range h.recent {
		if !rollout.Past(a, &h.recent[i]) {
			return &h.recent[i]
		}
	}
	return nil
}

// hear does what one alert asks for, unless that was done before.
func (h *hearing) hear(ctx context.Context, a towpath.Alert, r *AlertResult) error {
	rec, known, err := h.tx.Alert(ctx, h.env.Project, h.env.Name, a.Fingerprint, a.StartsAt)
	if err != nil {
		return err
	}
	if known && rec.Outcome == towpath.AlertActed {
		r.Outcome, r.Reason, r.Deployment = towpath.AlertRepeated, rec.Reason, rec.Deployment
		return nil
	}
	if err := h.act(ctx, a, r); err != nil {
		return err
	}
	if r.Outcome == towpath.AlertIgnored && known {
		return nil
	}
	return h.keep(ctx, a, *r)
}

// act takes back what an alert blames.
func (h *hearing) act(ctx context.Context, a towpath.Alert, r *AlertResult) error {
	r.Outcome, r.Deployment = towpath.AlertIgnored, ""
	if h.last = h.lastFor(a); h.last == nil {
		r.Reason = fmt.Sprintf("nothing was deployed to %s yet", h.env.Name)
		return nil
	}
	blame, why := rollout.Blamed(a, h.last, h.env, h.now)
	r.Reason = line(why)
	var err error
	switch blame {
	case rollout.Blameless:
		return nil
	case rollout.BlameInWay:
		err = h.takeBack(ctx, a, why)
	case rollout.BlameStanding:
		var refused string
		if refused, err = h.rollBack(ctx, a, why); refused != "" {
			r.Reason = refused
			return nil
		}
	}
	if err != nil {
		return err
	}
	r.Outcome, r.Deployment = towpath.AlertActed, h.last.ID
	if h.env, err = h.tx.Environment(ctx, h.env.Project, h.env.Name); err != nil {
		return err
	}
	h.recent, err = h.deployments(ctx)
	return err
}

// takeBack turns a deployment that is under way around, as if the analysis had
// called it worse.
func (h *hearing) takeBack(ctx context.Context, a towpath.Alert, why string) error {
	d, err := h.tx.LockDeployment(ctx, h.last.ID)
	if err != nil {
		return err
	}
	d.Recovery = &towpath.Recovery{Sign: sign(a, h.now), Detected: h.now}
	return h.apply(ctx, h.tx, &h.env, &d, towpath.TriggerAlert, said(a)+"; "+why, h.now)
}

// rollBack rolls back what an environment runs. What stands in the way of that,
// such as that nothing good ran before, is for a person.
func (h *hearing) rollBack(ctx context.Context, a towpath.Alert, why string) (refused string, err error) {
	r := RollbackRequest{Project: h.env.Project, Environment: h.env.Name, Reason: said(a) + "; " + why, sign: sign(a, h.now)}
	dry := r
	dry.DryRun = true
	if _, err := h.rollback(ctx, h.tx, h.read, h.actor, dry, h.id, h.now); towpath.KindOf(err) == towpath.KindConflict {
		m, _ := towpath.PublicMessage(err)
		return m, nil
	} else if err != nil {
		return "", err
	}
	_, err = h.rollback(ctx, h.tx, h.read, h.actor, r, h.id, h.now)
	return "", err
}

// sign is when the trouble was first seen. Clocks differ: nothing is found out
// before it began.
func sign(a towpath.Alert, now time.Time) time.Time {
	since, _ := a.Since()
	if since.After(now) {
		return now
	}
	return since.UTC()
}

// said is an alert as a sentence for people.
func said(a towpath.Alert) string {
	out := "the alert " + line(a.Name()) + " fires since " + a.StartsAt.UTC().Format(time.DateTime)
	if a.Summary != "" {
		out += ": " + line(a.Summary)
	}
	return strings.TrimRight(out, ".")
}

// line is a text on one line that a terminal can show, and not much of it.
func line(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// keep records what came of an alert, so that it acts once. What was ignored is
// kept for the record only, a few in an hour: nobody reads a thousand.
func (h *hearing) keep(ctx context.Context, a towpath.Alert, r AlertResult) error {
	if r.Outcome == towpath.AlertIgnored {
		if h.kept == nil {
			n, err := h.tx.CountAlerts(ctx, h.env.Project, h.env.Name, h.now.Add(-time.Hour))
			if err != nil {
				return err
			}
			h.kept = &n
			if err := h.tx.ForgetAlerts(ctx, h.now.Add(-keepAlerts)); err != nil {
				return err
			}
		}
		if *h.kept >= ignoredAnHour {
			return nil
		}
		*h.kept++
	}
	err := h.tx.SaveAlert(ctx, towpath.AlertRecord{
		Project: h.env.Project, Environment: h.env.Name, Fingerprint: a.Fingerprint, StartsAt: a.StartsAt,
		Outcome: r.Outcome, Reason: r.Reason, Deployment: r.Deployment, At: h.now,
	})
	if err != nil {
		return err
	}
	ev := towpath.NewEvent(h.now, string(h.actor.Account), "alert."+string(r.Outcome))
	ev.Project, ev.Environment, ev.RequestID = h.env.Project, h.env.Name, h.actor.RequestID
	ev.Subject, ev.Reason = cmp.Or(string(r.Deployment), a.Fingerprint), said(a)+"; "+r.Reason
	ev.Data, err = json.Marshal(map[string]any{"fingerprint": a.Fingerprint, "startsAt": a.StartsAt})
	if err != nil {
		return towpath.E(towpath.KindInternal, "alert.record", "an alert can't be recorded").WithCause(err)
	}
	return h.tx.Record(ctx, ev)
}
