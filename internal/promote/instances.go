package promote

import (
	"context"

	"github.com/towpath/towpath/internal/towpath"
)

// countBefore says of each revision that is replaced how many instances of it
// there are: a rolling update keeps as many until the new one is judged.
func countBefore(ctx context.Context, tx Tx, env towpath.Environment, components []towpath.Rollout, runs *towpath.ReleaseContent) error {
	seen, err := tx.Observations(ctx, env.Project)
	if err != nil {
		return err
	}
	for i := range components {
		if r := &components[i]; r.Before != nil {
			r.Before.Instances = instancesOf(r.Component, r.From, env.Name, runs, seen)
		}
	}
	return nil
}

// instancesOf is how many instances a revision has by the release that runs,
// which says so of what is replaced instance by instance, otherwise by what was
// last seen of it; 0 when neither knows.
func instancesOf(c towpath.ComponentName, rev towpath.RevisionID, e towpath.EnvironmentName, runs *towpath.ReleaseContent, seen []towpath.Observation) int {
	if runs != nil {
		env, _ := runs.Environment(e)
		if said, ok := env.Component(c); ok && said.Revision == rev && said.Instances > 0 {
			return said.Instances
		}
	}
	for _, o := range seen {
		if o.Target.Environment == e && o.Target.Component == c && o.Revision == rev {
			return o.Wanted
		}
	}
	return 0
}
