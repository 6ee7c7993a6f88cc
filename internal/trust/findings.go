package trust

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/gate"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	shownFlags = 10     // findings that an event names
	maxFlags   = 10_000 // IDs that are remembered of one release in one environment
)

// Flagged are the findings about a release of which an environment was told.
type Flagged struct {
	IDs  []string `json:"ids"`            // sorted
	More int      `json:"more,omitempty"` // of those that a report has no room for, the most at a time
}

// Findings is the loop over releases about which a scanner may have said
// something new.
type Findings struct{ *Service }

// Kind is the kind of work of the loop.
func (Findings) Kind() string { return WorkFindings }

// Reconcile records one event for each environment that runs a release, or is
// being given it, when the newest scans have findings there that nobody knew. It
// may begin again at any time: what an event told is remembered with it.
func (l Findings) Reconcile(ctx context.Context, key string, now time.Time) (reconcile.Result, error) {
	project, d, _ := strings.Cut(key, "/")
	p, release := towpath.ProjectName(project), towpath.Digest(d)
	var environments []towpath.Environment
	err := l.store.View(ctx, func(ctx context.Context, tx Tx) error {
		environments = nil
		all, err := tx.Environments(ctx, p)
		if err != nil {
			return err
		}
		for _, e := range all {
			since, err := hasSince(ctx, tx, e, release)
			if err != nil {
				return err
			}
			if !since.IsZero() {
				environments = append(environments, e)
			}
		}
		return nil
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	for _, e := range environments {
		if err := l.flag(ctx, p, e.Name, release, now); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Done(), nil
}

// hasSince is since when an environment runs a release or is being given it; zero
// when neither.
func hasSince(ctx context.Context, tx Tx, e towpath.Environment, release towpath.Digest) (time.Time, error) {
	if e.Release == release {
		return e.Since, nil
	}
	if e.Active == "" {
		return time.Time{}, nil
	}
	d, err := tx.Deployment(ctx, e.Active)
	if err != nil || d.Release != release {
		return time.Time{}, err
	}
	return d.CreatedAt, nil
}

// passing is an error that another try may not meet; nil for one that stays.
func passing(ctx context.Context, err error) error {
	if ctx.Err() != nil || towpath.KindOf(err) == towpath.KindUnavailable {
		return err
	}
	return nil
}

// flag tells one environment. What was found before it had the release is no
// news: it was judged on the way in, and status shows it. What can't be read for
// good is shown by status too.
func (l Findings) flag(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName, release towpath.Digest, now time.Time) error {
	said, err := l.Statements(ctx, p, e, release)
	if err != nil {
		return passing(ctx, err)
	}
	return l.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		env, err := tx.Environment(ctx, p, e)
		if err != nil {
			return err
		}
		since, err := hasSince(ctx, tx, env, release)
		if err != nil || since.IsZero() {
			return err
		}
		told, err := tx.FlaggedFindings(ctx, p, e, release)
		if err != nil {
			return err
		}
		rule := gate.FlagRule(env.Rules.Gates.Scan)
		before := slices.DeleteFunc(slices.Clone(said), func(a towpath.Attestation) bool { return a.First.After(since) })
		told, _ = told.with(gate.Flagged(rule, before, now))
		told, news := told.with(gate.Flagged(rule, said, now))
		if len(news.IDs) == 0 && news.More == 0 {
			return nil
		}
		ev, err := news.event(now)
		if err != nil {
			return err
		}
		ev.Project, ev.Environment, ev.Subject, ev.Release = p, e, string(release), release
		if err := tx.SaveFlaggedFindings(ctx, p, e, release, told); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}

// news is what nobody was told of.
type news struct {
	IDs        []string                 `json:"findings"` // the worst, worst first, at most [shownFlags]
	Severities map[towpath.Severity]int `json:"severities"`
	Tools      []string                 `json:"tools"`
	More       int                      `json:"unnamed,omitempty"` // that reports have no room for
}

// with adds findings, and says which of them are new: an ID is one finding, by
// its worst, wherever and by whomever it was found.
func (f Flagged) with(found []gate.Flag, more int) (Flagged, news) {
	slices.SortStableFunc(found, func(a, b gate.Flag) int { return b.Severity.Rank() - a.Severity.Rank() })
	n := news{Severities: map[towpath.Severity]int{}, More: max(0, more-f.More)}
	var now []string
	for _, x := range found {
		if slices.Contains(now, x.ID) {
			continue
		}
		now = append(now, x.ID)
		if slices.Contains(f.IDs, x.ID) {
			continue
		}
		if len(n.IDs) < shownFlags {
			n.IDs = append(n.IDs, x.ID)
		}
		n.Severities[x.Severity]++
		if !slices.Contains(n.Tools, x.Tool) {
			n.Tools = append(n.Tools, x.Tool)
		}
	}
	all := append(slices.Clone(f.IDs), now...)
	if len(all) > maxFlags {
		all = now
	}
	slices.Sort(all)
	return Flagged{IDs: slices.Compact(all), More: max(more, f.More)}, n
}

func (n news) event(now time.Time) (towpath.Event, error) {
	ev := towpath.NewEvent(now, string(towpath.System().Account), "environment.flagged")
	data, err := json.Marshal(n)
	if err != nil {
		return ev, towpath.E(towpath.KindInternal, "trust.findings", "the event can't be encoded").WithCause(err)
	}
	ev.Data = data
	var counts []string
	for _, s := range slices.Backward(append(towpath.Severities(), towpath.SeverityUnknown)) {
		if c := n.Severities[s]; c > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c, s))
		}
	}
	if n.More > 0 {
		counts = append(counts, fmt.Sprintf("%d that reports have no room for", n.More))
	}
	ev.Reason = "scanners found something new in what runs: " + strings.Join(counts, ", ")
	if len(n.IDs) > 0 {
		ev.Reason += " (" + strings.Join(n.IDs, ", ") + ")"
	}
	return ev, nil
}
