package promql

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Rule says which source a project has in a place. An empty field fits all.
type Rule struct {
	Project towpath.ProjectName
	Place   towpath.PlaceName
	Source  Source
	// Foreign is whether others give its series their labels. It is asked what is
	// written; one with our labels only of the target that asks.
	Foreign bool
}

// Sources are the sources of an installation: the first rule that fits decides.
type Sources []Rule

// Query asks the source that a target's project has in its place. Our own
// sources have the samples of everybody, and answer of this target alone.
func (s Sources) Query(ctx context.Context, of towpath.Target, query string, at time.Time) ([]towpath.MetricSample, error) {
	for _, r := range s {
		if r.Project != "" && r.Project != of.Project || r.Place != "" && r.Place != of.Place {
			continue
		}
		if !r.Foreign {
			var err error
			if query, err = bind(query, of); err != nil {
				return nil, err
			}
		}
		return r.Source.Query(ctx, query, at)
	}
	return nil, towpath.E(towpath.KindUnavailable, "metrics.query", "no metric source answers for %s in %s", of.Project, of.Place).
		WithHint("name one with --metrics-url or in --metrics-sources, see `towpath server --help`")
}
