package release

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// TestCheckRules: a content that was made by hand says nothing that no towpath.yaml
// may say.
func TestCheckRules(t *testing.T) {
	env := func(name string, change ...func(*towpath.EnvironmentSpec)) towpath.ReleaseEnvironment {
		e := towpath.EnvironmentSpec{Name: towpath.EnvironmentName(name), Promotion: towpath.PromotionAutomatic, Place: "local"}
		for _, f := range change {
			f(&e)
		}
		return towpath.ReleaseEnvironment{Rules: e}
	}
	from := func(name towpath.EnvironmentName) func(*towpath.EnvironmentSpec) {
		return func(e *towpath.EnvironmentSpec) { e.From = name }
	}
	branch := func(e *towpath.EnvironmentSpec) { e.Branch = "main" }
	many := func(n int) (out []towpath.ReleaseEnvironment) {
		for i := range n {
			out = append(out, env(fmt.Sprintf("e%d", i)))
		}
		return out
	}
	text := func(spec string) towpath.ReleaseContent {
		return towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{{
			Rules: env("dev").Rules, Components: []towpath.RenderedComponent{{Name: "api", Spec: json.RawMessage(spec)}},
		}}}
	}
	rolls := func(instances int, surge towpath.Share) towpath.ReleaseContent {
		return towpath.ReleaseContent{
			Components:   []towpath.ReleaseComponent{{Name: "api", Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyRolling, Surge: surge}}},
			Environments: []towpath.ReleaseEnvironment{{Rules: env("dev").Rules, Components: []towpath.RenderedComponent{{Name: "api", Instances: instances}}}},
		}
	}
	judged := func(general, own int) towpath.ReleaseContent {
		c := towpath.ReleaseContent{Components: []towpath.ReleaseComponent{{Name: "api"}, {Name: "web"}}}
		for i := range general + own + 40 {
			o := towpath.Objective{Name: fmt.Sprintf("o%d", i), Kind: towpath.ObjectiveErrors}
			switch {
			case i >= general+own:
				o.Component = "elsewhere"
			case i >= general:
				o.Component = "api"
			}
			c.Objectives = append(c.Objectives, o)
		}
		return c
	}
	of := func(all ...towpath.Objective) towpath.ReleaseContent { return towpath.ReleaseContent{Objectives: all} }
	for _, tt := range []struct {
		name    string
		content towpath.ReleaseContent
		want    string
	}{
		{"a common one", towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{env("dev", branch), env("prod", from("dev"))}}, ""},
		{"as many environments as there may be", towpath.ReleaseContent{Environments: many(100)}, ""},
		{"more of them", towpath.ReleaseContent{Environments: many(101)}, "101 environments, and at most 100"},
		{"too many components", towpath.ReleaseContent{Components: make([]towpath.ReleaseComponent, 201)}, "201 components, and at most 200"},
		{"lines in an account", towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{env("dev", func(e *towpath.EnvironmentSpec) {
			e.Account = "shop-prod\nregion: eu-west-1\npromotion: manual"
		})}}, `environments.dev.account: "shop-prod\nregion: eu-west-1\npromotion: manual" does not name an account`},
		{"many faults", towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{env("dev", func(e *towpath.EnvironmentSpec) {
			e.Gates.Checks = []string{"a b", "b c", "c d", "d e", "e f", "f g", "g h"}
		})}}, "gates.checks[4]: \"e f\" is no key of a check; and 2 more"},
		{"an upstream that is not there", towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{env("prod", from("dev"))}}, `environments.prod.from: no environment "dev"`},
		{"a circle", towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{env("dev", from("dev"))}}, `environments.dev.from: no environment "dev"`},
		{"a branch twice", towpath.ReleaseContent{Environments: []towpath.ReleaseEnvironment{env("dev", branch), env("prod", branch)}}, `environments.prod.branch: the branch "main" is already that of dev`},
		{"a rolling update in a batch for each of many instances", rolls(101, "1"), "environments.dev.components.api: a rolling update of 101 instances takes more than 100 batches"},
		{"one of as many as there may be", rolls(100, "1"), ""},
		{"one of many at a time", rolls(1000, "1%"), ""},
		{"a quantile without a bound", of(towpath.Objective{Name: "slow", Kind: towpath.ObjectiveQuantile, Query: "a"}), `the objective "slow" does not say below what`},
		{"a threshold without one", of(towpath.Objective{Name: "lag", Kind: towpath.ObjectiveThreshold, Query: "a"}), `the objective "lag" does not say what its value has to be`},
		{"as many for a component as there may be", judged(25, 25), ""},
		{"more of them", judged(25, 26), "components.api: 51 objectives are for it, and at most 50"},
		{"those that have one", of(towpath.Objective{Name: "lag", Kind: towpath.ObjectiveThreshold, Query: "a", Above: new(float64)},
			towpath.Objective{Name: "slow", Kind: towpath.ObjectiveQuantile, Query: "a", Below: new(float64)}), ""},
		{"a program of several lines", text(`{"command":["sh","-c","a\n\tb"],"env":{"A":"b\r\n"}}`), ""},
		{"a query of several lines", towpath.ReleaseContent{Objectives: []towpath.Objective{{Name: "up", Query: "sum(\n a)"}}}, ""},
		{"an objective's name of several lines", towpath.ReleaseContent{Objectives: []towpath.Objective{{Name: "up\ndown"}}}, `"up\ndown" has a control character`},
		{"a program that conceals", text(`{"command":["a\u001b[8m"]}`), `"a\x1b[8m" has a control character`},
		{"a variable of nothing", text(`{"env":{"A":"\u0000"}}`), `"\x00" has a control character`},
		{"a variable whose name drives", text(`{"env":{"A\u009b":"1"}}`), `"A\u009b" has a control character`},
		{"a naming rule that drives", towpath.ReleaseContent{Naming: "a\x07"}, `"a\a" has a control character`},
		{"a pin that drives", towpath.ReleaseContent{Pins: []towpath.ReleasePin{{Pin: towpath.Pin{Name: "a\rb"}}}}, `"a\rb" has a control character`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := oci.Canonical(tt.content)
			if err != nil {
				t.Fatal(err)
			}
			err = checkRules(&tt.content, raw)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case tt.want != "" && (towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			case err != nil && !towpath.OneLine(err.Error()):
				t.Errorf("the error %q has a control character", err)
			}
		})
	}
}
