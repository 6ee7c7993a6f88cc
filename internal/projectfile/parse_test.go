package projectfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/build"
	"github.com/towpath/towpath/internal/projectfile"
	"github.com/towpath/towpath/internal/towpath"
)

func builders() []kind.Builder { return []kind.Builder{build.New()} }

func example(t testing.TB, name string) []byte {
	t.Helper()
	return readFile(t, filepath.Join("testdata", name))
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func problemsOf(t testing.TB, err error) projectfile.Problems {
	t.Helper()
	if err == nil {
		return nil
	}
	var p projectfile.Problems
	if !errors.As(err, &p) {
		t.Fatalf("the error is %T, want Problems: %v", err, err)
	}
	return p
}

func TestParse_FillsInNounsAndDefaults(t *testing.T) {
	got, err := projectfile.Parse(example(t, "shop.yaml"), builders())
	if err != nil {
		t.Fatal(err)
	}
	retention := towpath.RetentionRule{Keep: 10, Age: 720 * time.Hour}
	most := 100.0
	want := &towpath.ProjectSpec{
		Version: 1, Project: "shop", Naming: `^\d+\.\d+\.\d+`,
		Components: []towpath.ComponentSpec{
			{
				Name: "api", Kind: "process", Path: "api", Inputs: []string{"lib"},
				Build:     &towpath.BuildSpec{Command: []string{"go", "build", "-trimpath", "-o", "bin/api", "."}, Outputs: []string{"bin"}},
				DependsOn: []towpath.ComponentName{"db"},
				Rollout:   towpath.RolloutSpec{Strategy: "blue-green", Timeout: 2 * time.Minute, For: towpath.DefaultFor}, Drift: "report",
				Spec: json.RawMessage(`{"command":["bin/api"],"env":{"DATABASE":"${components.db.address}","GREETING":"hello"},"health":{"path":"/healthz"},"verify":{"after":[{"http":{"path":"/"},"name":"front page"}]}}`),
			},
			{
				Name: "db", Kind: "process", Path: "db",
				Rollout: towpath.RolloutSpec{Strategy: "blue-green", Timeout: 5 * time.Minute, For: towpath.DefaultFor}, Drift: "report",
				Spec: json.RawMessage(`{"command":["bin/db"],"stopGrace":"20s"}`),
			},
		},
		Environments: []towpath.EnvironmentSpec{
			{
				Name: "dev", Branch: "dev", Promotion: "automatic", Place: "local", Retention: retention,
				Components: map[towpath.ComponentName]json.RawMessage{"api": json.RawMessage(`{"env":{"GREETING":"hi"},"listen":"127.0.0.1:8081"}`)},
			},
			{
				Name: "staging", Branch: "staging", From: "dev", Promotion: "automatic", Place: "local", Account: "012345678901", Region: "eu-west-1", Retention: retention,
				Gates: towpath.GateRules{Soak: 10 * time.Minute, Age: 720 * time.Hour, Checks: []string{"ci/load-test"}},
			},
			{
				Name: "prod", Branch: "main", From: "staging", Promotion: "manual", Place: "local", Retention: retention,
				Gates: towpath.GateRules{
					Approvals: &towpath.ApprovalRule{Count: 1, Roles: []towpath.Role{"approver"}},
					Windows: []towpath.Window{{
						Kind: "allow", Days: []string{"mon", "tue", "wed", "thu"},
						Start: "09:00", End: "16:00", Timezone: "Europe/Vienna",
					}},
				},
			},
		},
		Objectives: []towpath.Objective{{
			Name: "availability", Component: "api", Kind: towpath.ObjectiveRatio, Target: 0.999,
			Good: `sum(requests_total{code!~"5..",revision="{{revision}}"})`, Total: `sum(requests_total{revision="{{revision}}"})`,
		}, {
			Name: "queue", Kind: towpath.ObjectiveThreshold, Target: 0.9, Below: &most, Ranks: true, Weight: 2, Window: 5 * time.Minute,
			Query: `max(queue_length{revision="{{revision}}"})`, MinSamples: 20,
		}},
		Requires: []towpath.Requirement{{Project: "billing", Component: "api", Versions: ">=1.2 <2"}},
		Policies: "policies",
		Allowed: []towpath.SecretAllowance{{
			Path: "api/testdata/**", Rule: "private-key", Reason: "a key made for tests, worth nothing", Until: "2027-01-31",
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the spec differs (-want +got):\n%s", diff)
	}
}

func TestParse_ChoosesWhoBeginsAPromotion(t *testing.T) {
	for _, tt := range []struct {
		name, environment string
		want              towpath.PromotionMode
	}{
		{"an environment without from and approvals is automatic", "{}", "automatic"},
		{"approvals at the first environment leave it automatic", "{gates: {approvals: {count: 2}}}", "automatic"},
		{"from alone leaves it automatic", "{from: dev}", "automatic"},
		{"from and approvals make it manual", "{from: dev, gates: {approvals: {}}}", "manual"},
		{"what the file says wins", "{from: dev, gates: {approvals: {}}, promotion: automatic}", "automatic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.Replace(string(example(t, "minimal.yaml")), "  prod:\n", "  dev: {}\n  prod: "+tt.environment+"\n", 1)
			got, err := projectfile.Parse([]byte(src), builders())
			if err != nil {
				t.Fatal(err)
			}
			if e, _ := got.Environment("prod"); e.Promotion != tt.want {
				t.Errorf("promotion is %q, want %q", e.Promotion, tt.want)
			}
		})
	}
}

func TestParse_ReportsEveryProblemAtOnce(t *testing.T) {
	_, err := projectfile.Parse(example(t, "broken.yaml"), builders())
	golden := filepath.Join("testdata", "broken.txt")
	want := readFile(t, golden)
	if diff := cmp.Diff(strings.TrimSpace(string(want)), problemsOf(t, err).Error()); diff != "" {
		t.Errorf("the report differs from %s (-want +got):\n%s", golden, diff)
	}
}

func TestParse_FindsAddressesThatClash(t *testing.T) {
	for _, tt := range []struct {
		name, dev, prod, want string
	}{
		{"one address in two environments", "{components: {web: {listen: '127.0.0.1:80'}}}", "{components: {web: {listen: '127.0.0.1:80'}}}", "web in prod wants the address 127.0.0.1:80, which web in dev takes in the place local"},
		{"all addresses after one", "{components: {web: {listen: '127.0.0.1:80'}}}", "{components: {web: {listen: '0.0.0.0:80'}}}", "web in prod wants the address 0.0.0.0:80"},
		{"one address after all", "{components: {web: {listen: '[::]:80'}}}", "{components: {web: {listen: '127.0.0.1:80'}}}", "web in prod wants the address 127.0.0.1:80"},
		{"the preview of one environment and the address of the other", "{components: {web: {preview: '127.0.0.1:80'}}}", "{components: {web: {listen: '127.0.0.1:80'}}}", "web in prod wants the address 127.0.0.1:80, which web in dev takes in the place local"},
		{"two previews in two places", "{components: {web: {preview: '127.0.0.1:80'}}}", "{place: far, components: {web: {preview: '127.0.0.1:80'}}}", ""},
		{"two addresses of a port", "{components: {web: {listen: '127.0.0.1:80'}}}", "{components: {web: {listen: '127.0.0.2:80'}}}", ""},
		{"one address in two places", "{components: {web: {listen: '127.0.0.1:80'}}}", "{place: far, components: {web: {listen: '127.0.0.1:80'}}}", ""},
		{"ports that are chosen later", "{components: {web: {listen: '127.0.0.1:0'}}}", "{}", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.Replace(string(example(t, "minimal.yaml")), "  prod:\n", "  dev: "+tt.dev+"\n  prod: "+tt.prod+"\n", 1)
			_, err := projectfile.Parse([]byte(src), builders())
			got := problemsOf(t, err)
			if (len(got) > 0) != (tt.want != "") || !strings.Contains(got.Error(), tt.want) {
				t.Errorf("the report is %q, want %q", got, tt.want)
			}
			if len(got) > 0 && (got[0].Path != "environments.prod.components.web.listen" || got[0].Line != 11) {
				t.Errorf("the problem stands at %s, line %d", got[0].Path, got[0].Line)
			}
		})
	}
}

func TestParse_WantsRolloutsByStepsJudged(t *testing.T) {
	const file = `version: 1
project: shop
components:
  web:
    kind: process
    path: web
    rollout: {%s}
    process: {command: [a]}
  db: {kind: process, path: db, process: {command: [a]}}
environments: {prod: {}}
objectives: [%s]
`
	const (
		steps   = "strategy: canary, steps: [{weight: 5}]"
		errs    = "{name: errors, kind: errors, target: 0.9}"
		ofDB    = "{name: errors, kind: errors, target: 0.9, component: db}"
		ofWeb   = "{name: speed, kind: latency, target: 0.9, bound: 1s, component: web}"
		nothing = "towpath.yaml:7:25: components.web.rollout.strategy: nothing judges it: no objective is for web, so each step ends by its time alone " +
			"(add an objective: objectives: [{name: errors, kind: errors, target: 0.999}], or say that this is meant: judged: false)"
	)
	for _, tt := range []struct{ name, rollout, objectives, want string }{
		{"a canary without an objective", steps, "", nothing},
		{"a rolling update without an objective", "strategy: rolling", "", nothing},
		{"a canary with one for another component", steps, ofDB, nothing},
		{"a canary with one for every component", steps, errs, ""},
		{"a canary with one of its own", steps, ofDB + ", " + ofWeb, ""},
		{"a canary that is meant to be unjudged", steps + ", judged: false", "", ""},
		{"a canary that is meant to be unjudged beside one that is not", steps + ", judged: false", ofDB, ""},
		{"what is judged and said to be not", steps + ", judged: false", ofWeb,
			"towpath.yaml:7:63: components.web.rollout.judged: it is judged: the objective speed is for web (take judged out, or give the objective the component that it is for)"},
		{"nothing at all of what moves at once", "strategy: blue-green", "", ""},
		{"what moves at once and is judged after that", "for: 5m", errs, ""},
		{"what moves at once and is meant to be unjudged", "judged: false", errs, ""},
		{"what moves at once and is only looked at", "judged: false, for: 5m", "", ""},
		{"a time for nothing to judge", "for: 5m", ofDB,
			"towpath.yaml:7:20: components.web.rollout.for: nothing judges it: no objective is for web, so its time after the switch ends by itself " +
				"(add an objective: objectives: [{name: errors, kind: errors, target: 0.999}], or say that this is meant: judged: false)"},
		{"no time, and something to judge", "for: 0s", ofWeb,
			"towpath.yaml:7:20: components.web.rollout.for: nothing judges it, although the objective speed is for web (take for out, or say that this is meant: judged: false)"},
		{"no time after what stops first, and something to judge", "strategy: all-at-once, for: 0s", ofWeb,
			"towpath.yaml:7:43: components.web.rollout.for: nothing judges it, although the objective speed is for web (take for out, or say that this is meant: judged: false)"},
		{"no time, and copies that are judged", "for: 0s, mirror: {percent: 5}", ofWeb, ""},
		{"what is judged after the switch and said to be not", "judged: false, for: 5m", ofWeb,
			"towpath.yaml:7:23: components.web.rollout.judged: it is judged: the objective speed is for web (take judged out, or for and mirror)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := projectfile.Parse(fmt.Appendf(nil, file, tt.rollout, tt.objectives), builders())
			got := ""
			if p := problemsOf(t, err); len(p) > 0 {
				got = p.Error()
			}
			if got != tt.want {
				t.Errorf("the report is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParse_ChecksPlaceholdersInSettings(t *testing.T) {
	src := strings.Replace(string(example(t, "minimal.yaml")), "  prod:\n", "  prod: {components: {web: {env: {A: '${components.db.address}', B: '${components.web.address}'}}}}\n", 1)
	_, err := projectfile.Parse([]byte(src), builders())
	want := `towpath.yaml:10:38: environments.prod.components.web.env.A: there is no component "db" (name a component of this project)
towpath.yaml:10:69: environments.prod.components.web.env.B: the component takes an output of itself (its own port is in the variable PORT)`
	if diff := cmp.Diff(want, problemsOf(t, err).Error()); diff != "" {
		t.Errorf("the report differs (-want +got):\n%s", diff)
	}
}

func TestProblems_AreAnInvalidInput(t *testing.T) {
	_, err := projectfile.Parse([]byte("version: 1\n"), builders())
	if got := towpath.KindOf(err); got != towpath.KindInvalid {
		t.Errorf("the kind is %q, want %q", got, towpath.KindInvalid)
	}
	message, hint := towpath.PublicMessage(err)
	if !strings.Contains(message, "towpath.yaml has 3 problems") || !strings.Contains(message, "environments is missing") || hint == "" {
		t.Errorf("message %q, hint %q", message, hint)
	}
	_, err = projectfile.Parse([]byte("a: [\n"), builders())
	if message, _ := towpath.PublicMessage(err); !strings.Contains(message, "towpath.yaml:1:") {
		t.Errorf("a single problem lacks its place: %q", message)
	}
}

func TestTemplate_IsValid(t *testing.T) {
	for _, name := range []towpath.ProjectName{"shop", "null", "true", "a"} {
		p, err := projectfile.Parse(projectfile.Template(name), builders())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.Project != name || len(p.Environments) != 3 {
			t.Errorf("got %q with %d environments", p.Project, len(p.Environments))
		}
	}
}

// TestParse_JudgedAfterTheSwitch: what an objective is for is judged for a while
// after it was switched to, unless it says otherwise.
func TestParse_JudgedAfterTheSwitch(t *testing.T) {
	const file = `version: 1
project: shop
components:
  web:
    kind: process
    path: web
    rollout: {%s}
    process: {command: [a]}
environments: {prod: {}}
objectives: [%s]
`
	const errs = "{name: errors, kind: errors, target: 0.9}"
	for _, tt := range []struct {
		rollout, objectives string
		want                time.Duration
	}{
		{"timeout: 1m", errs, towpath.DefaultFor}, {"for: 5m", errs, 5 * time.Minute}, {"judged: false", errs, 0}, {"timeout: 1m", "", 0},
		{"strategy: all-at-once", errs, towpath.DefaultFor}, {"strategy: all-at-once, for: 5m", errs, 5 * time.Minute},
		{"strategy: all-at-once, judged: false", errs, 0}, {"strategy: all-at-once", "", 0},
	} {
		f, err := projectfile.Parse(fmt.Appendf(nil, file, tt.rollout, tt.objectives), builders())
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Components[0].Rollout.For; got != tt.want {
			t.Errorf("%s, %s: judged for %s, want %s", tt.rollout, tt.objectives, got, tt.want)
		}
	}
}
