package projectfile_test

import (
	"fmt"
	"testing"

	"github.com/towpath/towpath/internal/projectfile"
)

// TestParse_WantsDrainAndGraceToFit: a rolling update stops instances within the steps
// that start others. What nobody wrote is cut to what fits, and refuses nothing.
func TestParse_WantsDrainAndGraceToFit(t *testing.T) {
	for _, tt := range []struct {
		name, rollout, section, settings string
		want                             string // path of the problem
	}{
		{"both fit", "strategy: rolling, timeout: 1m", "drain: 20s, stopGrace: 20s", "", ""},
		{"both are too long for a step", "strategy: rolling, timeout: 1m", "drain: 20s, stopGrace: 21s", "", "components.api.process.drain"},
		{"settings make the grace too long", "strategy: rolling, timeout: 1m", "drain: 20s", "stopGrace: 21s", "environments.dev.components.api.stopGrace"},
		{"settings make the drain too long", "strategy: rolling, timeout: 1m", "stopGrace: 20s", "drain: 21s", "environments.dev.components.api.drain"},
		{"settings of something else", "strategy: rolling, timeout: 1m", "drain: 20s, stopGrace: 21s", "instances: 2", "components.api.process.drain"},
		{"a grace that nobody wrote", "strategy: rolling, timeout: 1m", "drain: 30s", "", ""},
		{"a drain that nobody wrote", "strategy: rolling, timeout: 1m", "stopGrace: 59s", "", ""},
		{"a grace as long as a step", "strategy: rolling, timeout: 1m", "drain: 20s, stopGrace: 1m", "", "components.api.process.stopGrace"},
		{"what is replaced stops after the steps", "strategy: blue-green, timeout: 1m", "drain: 30s, stopGrace: 59s", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := fmt.Sprintf(`version: 1
project: shop
components: {api: {kind: process, path: api, rollout: {%s}, process: {command: [a], %s}}}
environments: {dev: {components: {api: {%s}}}}
objectives: [{name: errors, kind: errors, target: 0.9}]
`, tt.rollout, tt.section, tt.settings)
			_, err := projectfile.Parse([]byte(src), builders())
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if p := problemsOf(t, err); len(p) != 1 || p[0].Path != tt.want || p[0].Hint == "" {
				t.Errorf("the report is %q, want one problem at %s", p, tt.want)
			}
		})
	}
}
