package promote

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

func TestInstancesOf(t *testing.T) {
	runs := &towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{{
		Rules: towpath.EnvironmentSpec{Name: "prod"},
		Components: []towpath.RenderedComponent{
			{Name: "rolls", Revision: "r1", Instances: 5}, {Name: "switches", Revision: "s1"}, {Name: "lost", Revision: "l1"},
		},
	}}}
	var seen []towpath.Observation
	for _, o := range []struct {
		env    towpath.EnvironmentName
		c      towpath.ComponentName
		rev    towpath.RevisionID
		wanted int
	}{{"prod", "rolls", "r1", 6}, {"dev", "switches", "s1", 1}, {"prod", "switches", "s1", 4}, {"prod", "lost", "l0", 3}} {
		seen = append(seen, towpath.Observation{
			Target: towpath.Target{Environment: o.env, Component: o.c}, Revision: o.rev, Wanted: o.wanted, Instances: 2,
		})
	}
	for _, c := range []struct {
		what string
		name towpath.ComponentName
		rev  towpath.RevisionID
		runs *towpath.ReleaseContent
		want int
	}{
		{"the release says so", "rolls", "r1", runs, 5},
		{"the release has another revision, which nobody has seen", "rolls", "r0", runs, 0},
		{"only the agent knows", "switches", "s1", runs, 4},
		{"no release runs for certain", "rolls", "r1", nil, 6},
		{"another revision was seen", "lost", "l1", runs, 0},
		{"nobody has seen any", "new", "n1", runs, 0},
	} {
		if got := instancesOf(c.name, c.rev, "prod", c.runs, seen); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}
