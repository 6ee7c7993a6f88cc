package cli

import (
	"context"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

const (
	lookFor       = 15 * time.Second // that is waited for what is looked at
	lookEvery     = 500 * time.Millisecond
	shownAffected = 10 // environments
)

// settled asks what a quarantine reaches until every release was looked at, or
// that takes long. That it can't be found out is no error: the quarantine holds.
func (s *session) settled(ctx context.Context, a towpath.Affected, ask func(context.Context) (towpath.Affected, error)) towpath.Affected {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for a.Looking {
		now, err := ask(ctx)
		if err != nil {
			return a
		}
		if a = now; !a.Looking {
			break
		}
		select {
		case <-ctx.Done():
			return a
		case <-tick.C:
		}
	}
	return a
}

// showAffected says what a quarantine reaches, of what the user may see.
func showAffected(p *page, a towpath.Affected, none string) {
	switch {
	case a.Releases > 0:
		p.field("affected", plural(a.Releases, "release", "releases")+" in "+plural(a.Projects, "project", "projects")+", of those that you may see")
	case !a.Looking:
		p.field("affected", none)
	}
	var run []string
	for _, e := range a.Environments {
		run = append(run, string(e.Project)+"/"+string(e.Environment))
	}
	if n := len(run); n > shownAffected {
		run = append(run[:shownAffected], plural(n-shownAffected, "more", "more"))
	}
	switch {
	case len(run) > 0:
		p.field("run by", p.style.bad(strings.Join(run, ", ")))
		p.line("they go on running it; `towpath status ENV` says what to go back to")
	case a.Releases > 0:
		p.field("run by", "no environment")
	}
	if a.Looking {
		p.line("not every release has been looked at yet; `towpath release list` shows those that are quarantined")
	}
}
