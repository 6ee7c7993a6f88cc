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
}

// Sources are the sources of an installation: the first rule that fits decides.
type Sources []Rule

// Query asks the source that a project has in a place.
func (s Sources) Query(ctx context.Context, p towpath.ProjectName, place towpath.PlaceName, query string, at time.Time) ([]towpath.MetricSample, error) {
	for _, r := range s {
		if (r.Project == "" || r.Project == p) && (r.Place == "" || r.Place == place) {
			return r.Source.Query(ctx, query, at)
		}
	}
	return nil, towpath.E(towpath.KindUnavailable, "metrics.query", "no metric source answers for %s in %s", p, place).
		WithHint("name one with --metrics-url or in --metrics-sources, see `towpath server --help`")
}
