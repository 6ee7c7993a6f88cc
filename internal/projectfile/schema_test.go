package projectfile_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/towpath/towpath/internal/projectfile"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(projectfile.Schema(builders())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("towpath.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("towpath.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate asks the schema what an editor would ask it.
func validate(t testing.TB, s *jsonschema.Schema, src []byte) error {
	t.Helper()
	j, err := yaml.YAMLToJSON(src)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestSchema_AcceptsEveryExample(t *testing.T) {
	s := compiledSchema(t)
	examples := map[string][]byte{
		"the template": projectfile.Template("shop"),
		"shop":         example(t, "shop.yaml"),
		"minimal":      example(t, "minimal.yaml"),
	}
	for name, src := range examples {
		t.Run(name, func(t *testing.T) {
			if err := validate(t, s, src); err != nil {
				t.Errorf("the schema refuses it: %v", err)
			}
			if _, err := projectfile.Parse(src, builders()); err != nil {
				t.Errorf("the parser refuses it: %v", err)
			}
		})
	}
}

func TestSchema_DescribesEveryProperty(t *testing.T) {
	var root any
	if err := json.Unmarshal(projectfile.Schema(builders()), &root); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		if properties, ok := m["properties"].(map[string]any); ok && !strings.HasSuffix(path, "/if") && !strings.HasSuffix(path, "/then") {
			for key, p := range properties {
				text, _ := json.Marshal(p)
				if !bytes.Contains(text, []byte(`"description"`)) && !bytes.Contains(text, []byte(`"$ref"`)) {
					t.Errorf("%s/%s has no description", path, key)
				}
			}
		}
		for key, below := range m {
			if list, ok := below.([]any); ok {
				for _, item := range list {
					walk(path+"/"+key, item)
				}
				continue
			}
			walk(path+"/"+key, below)
		}
	}
	walk("", root)
}

// TestSchema_AgreesWithTheParser changes one line of a valid file at a time and
// asks both. What only the parser can know stands in the last table.
func TestSchema_AgreesWithTheParser(t *testing.T) {
	const base = `version: 1
project: shop
components:
  api: {kind: process, path: api, process: {command: [a]}}
environments:
  dev: {}
  prod: {from: dev}
`
	component := func(s string) string {
		return strings.Replace(base, "{kind: process, path: api, process: {command: [a]}}", s, 1)
	}
	section := func(s string) string { return component("{kind: process, path: api, process: {" + s + "}}") }
	rollout := func(s string) string {
		return component("{kind: process, path: api, rollout: {" + s + "}, process: {command: [a]}}")
	}
	judged := func(s string) string {
		return rollout(s) + "objectives: [{name: errors, kind: errors, target: 0.9}]\n"
	}
	uses := func(s string) string {
		return component("{kind: process, path: api, uses: {" + s + "}, process: {command: [a]}}")
	}
	drift := func(s string) string {
		return component("{kind: process, path: api, drift: " + s + ", process: {command: [a]}}")
	}
	prod := func(s string) string { return strings.Replace(base, "{from: dev}", "{from: dev, "+s+"}", 1) }
	settings := func(s string) string { return prod("components: {api: " + s + "}") }
	window := func(s string) string { return prod("gates: {windows: [{" + s + "}]}") }
	top := func(s string) string { return base + s + "\n" }

	accepted := map[string]string{
		"the base":                          base,
		"an environment with nothing":       strings.Replace(base, "dev: {}", "dev:", 1),
		"an extension":                      top("x-anything: {goes: [1, null]}"),
		"a build without outputs":           component("{kind: process, path: api, build: {command: [make], env: {A: b}}, process: {command: [a]}}"),
		"the root as a path":                component("{kind: process, path: ., process: {command: [a]}}"),
		"a hidden folder":                   component("{kind: process, path: .config/x, process: {command: [a]}}"),
		"an empty argument":                 section(`command: [a, ""]`),
		"every field of a section":          section(`command: [a], workDir: b, env: {A: b}, listen: "127.0.0.1:0", instances: 2, health: {path: /, interval: 1s, timeout: 1s, deadline: 1m30s}, answer: 5m, stopGrace: 5s, drain: 90s, logs: {maxBytes: 1MiB, keep: 0}`),
		"a protocol":                        section("command: [a], protocol: h2c"),
		"gRPC's health check":               section("command: [a], protocol: h2c, health: {grpc: true}"),
		"a size in bytes":                   section("command: [a], logs: {maxBytes: 4096}"),
		"an HTTP job":                       section("command: [a], verify: {before: [{name: one, http: {path: /, method: POST, status: 201, contains: ok}, timeout: 1s}]}"),
		"a job for a preview":               section("command: [a], preview: '127.0.0.1:0', verify: {preview: [{name: one, command: [b]}]}"),
		"a command job":                     section("command: [a], verify: {after: [{name: one, command: [b]}]}"),
		"settings that take away":           settings("{env: {A: null}, health: {path: null}, instances: null}"),
		"empty settings":                    settings("{}"),
		"approvals":                         prod("gates: {approvals: {count: 20, roles: [approver, operator, admin], solo: true}}"),
		"a window until midnight":           window(`kind: allow, end: "24:00"`),
		"a window with dates":               window(`kind: deny, from: "2026-12-20", to: "2027-01-03", timezone: Europe/Vienna, reason: holidays`),
		"a check":                           prod("gates: {checks: [ci/load-test]}"),
		"mirrored images":                   prod("gates: {mirrored: true}"),
		"copies":                            prod("gates: {replicated: [eu, us-east-1]}"),
		"signatures":                        prod("gates: {signed: {count: 2, keys: [builder-2026, security]}}"),
		"any signature":                     prod("gates: {signed: {}}"),
		"a provenance":                      prod(`gates: {provenance: {keys: [ci], builders: ["https://ci.example.com"], repositories: ["git@example.com:shop"], branches: [main, "release/*", "team/**"], reviewed: true}}`),
		"a scan":                            prod(`gates: {scan: {severity: critical, maxAge: 168h, tools: [Trivy], keys: [scanner], exceptions: [{id: CVE-2026-1, reason: not reachable, until: "2027-01-31"}]}}`),
		"any scan":                          prod("gates: {scan: {}}"),
		"a bill of materials":               prod("gates: {sbom: {complete: true}}"),
		"no soak time":                      prod(`gates: {soak: "0"}`),
		"a requirement":                     top(`requires: [{project: billing, versions: ">=1"}]`),
		"a ratio of good ones":              top(`objectives: [{name: a, kind: ratio, good: a, total: b, target: 0.9, critical: true}]`),
		"a ratio of bad ones":               top(`objectives: [{name: a, kind: ratio, bad: 'sum(increase(a{r="{{revision}}"}[{{interval}}]))', total: b, target: 0.9, weight: 0.5}]`),
		"a quantile":                        top(`objectives: [{name: a, kind: quantile, query: 'sum by (le) (a_bucket{r="{{ release }}"})', target: 0.95, below: 0.3}]`),
		"a threshold":                       top(`objectives: [{name: a, kind: threshold, query: 'rate(a[{{window}}])', window: 5m, below: 0}]`),
		"the least of a threshold":          top(`objectives: [{name: a, kind: threshold, query: 'a{r="{{revision}}"}', above: -1, target: 0.5, compare: ranks}]`),
		"objectives of traffic":             top("objectives: [{name: a, kind: errors, target: 0.99, critical: true}, {name: b, kind: latency, target: 0.95, bound: 300ms, minSamples: 200, window: 5m}]"),
		"a tolerance":                       top(`objectives: [{name: a, kind: errors, target: 0.9, tolerance: 1.5}]`),
		"a canary":                          judged("strategy: canary, steps: [{weight: 1}, {weight: 25, for: 5m}, {weight: 99, manual: true}], interval: 1s, deadline: 1h, timeout: 1m, undecided: hold"),
		"no canary in an environment":       prod("rollout: blue-green"),
		"a rolling update":                  judged("strategy: rolling, surge: 2, unavailable: 10%, for: 5s, interval: 1s, deadline: 1h, undecided: hold"),
		"a rolling update without a word":   judged("strategy: rolling"),
		"a rolling update without a surge":  judged("strategy: rolling, surge: 0, unavailable: 1"),
		"copies before a canary":            judged("strategy: canary, steps: [{weight: 1}], mirror: {percent: 10, for: 5m, methods: [GET, POST]}"),
		"copies before all at once":         judged("mirror: {percent: 100, manual: true}, interval: 1s, deadline: 1h, undecided: hold, preview: {for: 1m}"),
		"judged after the switch":           judged("for: 10m, interval: 1s, deadline: 1h, undecided: hold, keep: 1h"),
		"judged after the switch, or not":   judged("judged: false"),
		"watched by nothing else":           rollout("judged: false, for: 1m"),
		"judged blue-green":                 judged("mirror: {percent: 5}, judged: true"),
		"copies before a rolling update":    judged("strategy: rolling, mirror: {percent: 10}"),
		"clients that stay by cookie":       judged("strategy: canary, steps: [{weight: 1}], sticky: {cookie: shop_rollout, maxAge: 24h}"),
		"clients that stay by header":       judged("strategy: rolling, sticky: {header: X-User}"),
		"drift that is repaired":            drift("repair"),
		"drift with a mode only":            drift("{mode: repair}"),
		"drift with everything":             drift(`{mode: repair, ignore: ["cache/**", "*.log", "var/**/*.db"], debounce: 10s, backoff: 1m, backoffMax: 2h, flapping: {repairs: 5, within: 30m}}`),
		"drift without a mode":              drift("{ignore: [cache/**]}"),
		"a canary that time alone ends":     rollout("strategy: canary, judged: false, steps: [{weight: 1}]"),
		"a rolling update, the same":        rollout("strategy: rolling, judged: false"),
		"a canary that says it is judged":   judged("strategy: canary, judged: true, steps: [{weight: 1}]"),
		"a preview":                         rollout("preview: {for: 10m, manual: true}, keep: 1h"),
		"a canary that keeps the old one":   judged("strategy: canary, steps: [{weight: 1}], keep: 1h"),
		"all at once":                       rollout("strategy: all-at-once, timeout: 1m"),
		"all at once, judged after":         judged("strategy: all-at-once, for: 5m, interval: 1s, deadline: 1h, undecided: hold"),
		"all at once, not judged":           judged("strategy: all-at-once, judged: false"),
		"a time for progress":               rollout("timeout: 1m, progress: 1m"),
		"all at once in an environment":     prod("rollout: all-at-once, concurrent: 2"),
		"a watch":                           prod("watch: 30m"),
		"no watch":                          prod("watch: 0s"),
		"folders":                           top("policies: p\nmigrations: m/n\nrunbooks: r"),
		"a retention":                       prod("retention: {keep: 1, age: 0s}"),
		"what a scan may let in":            top("secrets: {allow: [{path: 'api/**/*.pem', rule: private-key, reason: made for tests, until: 2027-01-31}, {path: '**', rule: jwt, reason: a}]}"),
		"an empty list of allowed secrets":  top("secrets: {allow: []}"),
		"what is used from outside":         uses(`a: {image: "ghcr.io/team/app:1.2"}, b: {chart: {repository: "oci://ghcr.io/charts", name: redis, version: ^19}}, c: {module: {source: "git::https://e.com/a.git//b?ref=v1"}}, d: {module: {source: a/b/c, version: ~> 1.4}}`),
		"nothing used from outside":         uses(""),
		"exceptions from being pinned":      top("pins: {exceptions: [{reference: 'redis:7', reason: a, until: 2027-01-31}, {path: 'api/**', reason: a, until: 2027-01-31}, {reference: 'redis:7', path: api/a, reason: a, until: 2027-01-31}]}"),
		"an account and a region":           prod(`account: "123456789012", region: eu-west-1`),
		"an account with a domain":          prod("account: 'example.com:shop_prod', region: westEurope"),
		"a place and a branch with a slash": prod("place: host-2, branch: env/prod"),
	}
	refused := map[string]string{
		"an account that is a number":    prod("account: 123456789012"),
		"an account with a slash":        prod("account: a/b"),
		"an empty account":               prod(`account: ""`),
		"a region with a space":          prod("region: eu west"),
		"a region that ends in a dash":   prod("region: eu-"),
		"another version":                strings.Replace(base, "version: 1", "version: 2", 1),
		"a version as text":              strings.Replace(base, "version: 1", `version: "1"`, 1),
		"no version":                     strings.Replace(base, "version: 1\n", "", 1),
		"no project":                     strings.Replace(base, "project: shop\n", "", 1),
		"a project with a bad name":      strings.Replace(base, "shop", "my_shop", 1),
		"a project that is a number":     strings.Replace(base, "shop", "7", 1),
		"an unknown key":                 top("colour: blue"),
		"no components":                  strings.Replace(base, "  api: {kind: process, path: api, process: {command: [a]}}\n", "", 1),
		"an empty map of components":     strings.Replace(base, "components:\n  api: {kind: process, path: api, process: {command: [a]}}", "components: {}", 1),
		"components as a list":           strings.Replace(base, "components:\n  api: {kind: process, path: api, process: {command: [a]}}", "components: [api]", 1),
		"a component with a bad name":    strings.Replace(base, "  api:", "  Api:", 1),
		"a component that is nothing":    component(""),
		"a component without kind":       component("{path: api, process: {command: [a]}}"),
		"a component without path":       component("{kind: process, process: {command: [a]}}"),
		"an unknown kind":                component("{kind: magic, path: api}"),
		"no section":                     component("{kind: process, path: api}"),
		"an unknown key of a component":  component("{kind: process, path: api, ports: [1], process: {command: [a]}}"),
		"an absolute path":               component("{kind: process, path: /api, process: {command: [a]}}"),
		"a path with a drive":            component("{kind: process, path: 'c:/api', process: {command: [a]}}"),
		"a path that leads out":          component("{kind: process, path: a/../../b, process: {command: [a]}}"),
		"a path with a backslash":        component(`{kind: process, path: 'a\b', process: {command: [a]}}`),
		"git's own folder":               component("{kind: process, path: .git/hooks, process: {command: [a]}}"),
		"an empty path":                  component(`{kind: process, path: "", process: {command: [a]}}`),
		"inputs twice":                   component("{kind: process, path: api, inputs: [a, a], process: {command: [a]}}"),
		"a build without command":        component("{kind: process, path: api, build: {}, process: {command: [a]}}"),
		"a build with an empty command":  component("{kind: process, path: api, build: {command: []}, process: {command: [a]}}"),
		"a build with a reserved env":    component("{kind: process, path: api, build: {command: [a], env: {TOWPATH_X: b}}, process: {command: [a]}}"),
		"a build with a number in env":   component("{kind: process, path: api, build: {command: [a], env: {X: 1}}, process: {command: [a]}}"),
		"a strategy that is not known":   rollout("strategy: yolo"),
		"copies of nothing":              judged("mirror: {percent: 0}"),
		"copies without a share":         judged("mirror: {for: 1m}"),
		"copies of a method":             judged("mirror: {percent: 5, methods: [get]}"),
		"copies of no method":            judged("mirror: {percent: 5, methods: []}"),
		"copies of one method twice":     judged("mirror: {percent: 5, methods: [GET, GET]}"),
		"copies with a typo":             judged("mirror: {percent: 5, method: GET}"),
		"copies beside nothing":          judged("strategy: all-at-once, mirror: {percent: 5}"),
		"clients that stay at once":      rollout("sticky: {cookie: a}"),
		"clients that stay by nothing":   judged("strategy: rolling, sticky: {}"),
		"clients that stay by both":      judged("strategy: rolling, sticky: {cookie: a, header: b}"),
		"a cookie with a space":          judged("strategy: rolling, sticky: {cookie: a b}"),
		"a header with a colon":          judged("strategy: rolling, sticky: {header: 'X-User:'}"),
		"a header with an age":           judged("strategy: rolling, sticky: {header: a, maxAge: 1h}"),
		"a canary without steps":         judged("strategy: canary"),
		"a tolerance below one":          top(`objectives: [{name: a, kind: errors, target: 0.9, tolerance: 0.5}]`),
		"a tolerance of everything":      top(`objectives: [{name: a, kind: errors, target: 0.9, tolerance: 11}]`),
		"steps of a rolling update":      judged("strategy: rolling, steps: [{weight: 5}]"),
		"a surge of a canary":            judged("strategy: canary, steps: [{weight: 5}], surge: 1"),
		"a surge of all":                 judged("strategy: rolling, surge: 101%"),
		"a surge in words":               judged("strategy: rolling, surge: some"),
		"a surge of less than nothing":   judged("strategy: rolling, surge: -1"),
		"a preview of a rolling update":  judged("strategy: rolling, preview: {manual: true}"),
		"a time after a canary":          judged("strategy: canary, steps: [{weight: 5}], for: 1m"),
		"judged in a word":               judged("strategy: rolling, judged: sometimes"),
		"a preview for no time":          rollout("preview: {}"),
		"a rolling update that keeps":    judged("strategy: rolling, keep: 1h"),
		"all at once that keeps":         rollout("strategy: all-at-once, keep: 1h"),
		"nothing at a time":              prod("concurrent: 0"),
		"a watch without unit":           prod("watch: 30"),
		"a canary with no step":          judged("strategy: canary, steps: []"),
		"a step without weight":          judged("strategy: canary, steps: [{for: 1m}]"),
		"a step of everything":           judged("strategy: canary, steps: [{weight: 100}]"),
		"a step of nothing":              judged("strategy: canary, steps: [{weight: 0}]"),
		"steps of another strategy":      rollout("steps: [{weight: 5}]"),
		"undecided in a word":            judged("strategy: canary, steps: [{weight: 5}], undecided: wait"),
		"a typo in a step":               judged("strategy: canary, steps: [{weight: 5, during: 1m}]"),
		"a canary of an environment":     prod("rollout: canary"),
		"a progress without unit":        rollout("progress: 30"),
		"a timeout without unit":         component("{kind: process, path: api, rollout: {timeout: 30}, process: {command: [a]}}"),
		"a drift policy that is unknown": component("{kind: process, path: api, drift: ignore, process: {command: [a]}}"),
		"a drift mode that is unknown":   drift("{mode: ignore}"),
		"a typo in drift":                drift("{mode: repair, ignores: [a]}"),
		"drift as a list":                drift("[repair]"),
		"an ignored path that leads out": drift("{ignore: [../a]}"),
		"an absolute ignored path":       drift("{ignore: [/tmp/a]}"),
		"everything ignored":             drift("{ignore: ['**']}"),
		"everything ignored in folders":  drift("{ignore: ['**/*.*']}"),
		"ignored twice":                  drift("{ignore: [a, a]}"),
		"a debounce without unit":        drift("{debounce: 10}"),
		"flapping without a word":        drift("{flapping: {}}"),
		"flapping that never is":         drift("{flapping: {repairs: 21}}"),
		"dependsOn as text":              component("{kind: process, path: api, dependsOn: db, process: {command: [a]}}"),
		"a section without command":      section("instances: 1"),
		"an empty command":               section("command: []"),
		"an empty program":               section(`command: [""]`),
		"a command as text":              section("command: a b"),
		"a typo in a section":            section("command: [a], helth: {}"),
		"a reserved variable":            section("command: [a], env: {PORT: '1'}"),
		"a reserved prefix":              section("command: [a], env: {TOWPATH_URL: a}"),
		"a bad name of a variable":       section("command: [a], env: {A-B: c}"),
		"a number as a variable":         section("command: [a], env: {A: 1}"),
		"null in a section":              section("command: [a], env: {A: null}"),
		"a listen without port":          section("command: [a], listen: localhost"),
		"gRPC's health in words":         section("command: [a], protocol: h2c, health: {grpc: 'yes'}"),
		"a protocol that is unknown":     section("command: [a], protocol: grpc"),
		"settings with a protocol":       settings("{protocol: h2c}"),
		"no instances":                   section("command: [a], instances: 0"),
		"a health path without slash":    section("command: [a], health: {path: up}"),
		"a deadline in words":            section("command: [a], health: {deadline: soon}"),
		"a negative duration":            section("command: [a], stopGrace: -1s"),
		"an answer that never comes":     section("command: [a], answer: never"),
		"logs that are too small":        section("command: [a], logs: {maxBytes: 10}"),
		"a job without name":             section("command: [a], verify: {after: [{http: {path: /}}]}"),
		"a job for a preview, nameless":  section("command: [a], preview: '127.0.0.1:0', verify: {preview: [{http: {path: /}}]}"),
		"a job with both":                section("command: [a], verify: {after: [{name: a, command: [b], http: {path: /}}]}"),
		"a job with neither":             section("command: [a], verify: {after: [{name: a}]}"),
		"an HTTP check without path":     section("command: [a], verify: {after: [{name: a, http: {}}]}"),
		"a method that is unknown":       section("command: [a], verify: {after: [{name: a, http: {path: /, method: GRAB}}]}"),
		"settings with a command":        settings("{command: [a]}"),
		"settings with a typo":           settings("{evn: {}}"),
		"settings as a list":             settings("[a]"),
		"settings with a number in env":  settings("{env: {A: 1}}"),
		"an environment with a bad name": strings.Replace(base, "  prod:", "  PROD:", 1),
		"an unknown mode":                prod("promotion: sometimes"),
		"a typo in an environment":       prod("gate: {}"),
		"a bad place":                    prod("place: Host"),
		"no branch":                      prod(`branch: ""`),
		"a ref as a branch":              prod("branch: refs/heads/main"),
		"gates that are nothing":         prod("gates: null"),
		"no approvals at all":            prod("gates: {approvals: {count: 0}}"),
		"half an approval":               prod("gates: {approvals: {count: 1.5}}"),
		"an unknown role":                prod("gates: {approvals: {roles: [boss]}}"),
		"a role that can't approve":      prod("gates: {approvals: {roles: [viewer]}}"),
		"roles without any":              prod("gates: {approvals: {roles: []}}"),
		"solo as text":                   prod(`gates: {approvals: {solo: "yes"}}`),
		"a window without kind":          window("days: [mon]"),
		"a window of an unknown kind":    window("kind: open"),
		"an unknown day":                 window("kind: allow, days: [monday]"),
		"no days":                        window("kind: allow, days: []"),
		"a day twice":                    window("kind: allow, days: [mon, mon]"),
		"a time with one digit":          window(`kind: allow, start: "9:00"`),
		"a start at 24:00":               window(`kind: allow, start: "24:00"`),
		"a date that does not exist":     window(`kind: allow, from: "2026-02-30"`),
		"a check with a space":           prod(`gates: {checks: ["load test"]}`),
		"images mirrored somewhere":      prod("gates: {mirrored: [eu]}"),
		"a copy twice":                   prod("gates: {replicated: [eu, eu]}"),
		"a copy by a bad name":           prod("gates: {replicated: [EU]}"),
		"no signatures":                  prod("gates: {signed: {count: 0}}"),
		"signed by no key":               prod("gates: {signed: {keys: []}}"),
		"a key with a bad name":          prod("gates: {signed: {keys: [Builder]}}"),
		"a builder with a space":         prod(`gates: {provenance: {builders: ["a b"]}}`),
		"no builders":                    prod("gates: {provenance: {builders: []}}"),
		"a branch as a ref":              prod("gates: {provenance: {branches: [refs/heads/main]}}"),
		"reviewed by a name":             prod("gates: {provenance: {reviewed: ana}}"),
		"an unknown severity":            prod("gates: {scan: {severity: awful}}"),
		"an exception for ever":          prod("gates: {scan: {exceptions: [{id: CVE-1, reason: a}]}}"),
		"an exception with two lines":    prod(`gates: {scan: {exceptions: [{id: CVE-1, reason: "a\nb", until: "2027-01-31"}]}}`),
		"a window with a broken reason":  window(`kind: deny, days: [fri], reason: "a\nregion: eu-west-1"`),
		"a tool with a line's end":       prod(`gates: {scan: {tools: ["Trivy\n"]}}`),
		"an exception without a reason":  prod(`gates: {scan: {exceptions: [{id: CVE-1, reason: " ", until: "2027-01-31"}]}}`),
		"no tools":                       prod("gates: {scan: {tools: []}}"),
		"a typo in a gate":               prod("gates: {sbom: {complet: true}}"),
		"a gate as a flag":               prod("gates: {signed: true}"),
		"a negative retention":           prod("retention: {keep: -1}"),
		"a requirement without versions": top("requires: [{project: billing}]"),
		"an objective without target":    top("objectives: [{name: a, kind: errors}]"),
		"an objective without kind":      top("objectives: [{name: a, query: up, target: 0.9}]"),
		"a ratio without total":          top("objectives: [{name: a, kind: ratio, bad: up, target: 0.9}]"),
		"a ratio of nothing":             top("objectives: [{name: a, kind: ratio, total: up, target: 0.9}]"),
		"a ratio of good and bad ones":   top("objectives: [{name: a, kind: ratio, bad: up, good: up, total: up, target: 0.9}]"),
		"a quantile without bound":       top("objectives: [{name: a, kind: quantile, query: up, target: 0.9}]"),
		"a quantile above":               top("objectives: [{name: a, kind: quantile, query: up, target: 0.9, above: 1}]"),
		"a threshold without bound":      top("objectives: [{name: a, kind: threshold, query: up}]"),
		"a threshold with both bounds":   top("objectives: [{name: a, kind: threshold, query: up, above: 1, below: 2}]"),
		"a threshold without query":      top("objectives: [{name: a, kind: threshold, above: 1}]"),
		"a critical weight":              top("objectives: [{name: a, kind: errors, target: 0.9, critical: true, weight: 2}]"),
		"no weight":                      top("objectives: [{name: a, kind: errors, target: 0.9, weight: 0}]"),
		"an empty query":                 top(`objectives: [{name: a, kind: threshold, query: " ", above: 1}]`),
		"an objective of no known kind":  top("objectives: [{name: a, kind: error, target: 0.9}]"),
		"errors with a query":            top("objectives: [{name: a, kind: errors, target: 0.9, query: up}]"),
		"errors with a bound":            top("objectives: [{name: a, kind: errors, target: 0.9, bound: 1s}]"),
		"a latency without bound":        top("objectives: [{name: a, kind: latency, target: 0.9}]"),
		"a query with a bound":           top("objectives: [{name: a, kind: threshold, query: up, below: 1, bound: 1s}]"),
		"a share of everything":          top("objectives: [{name: a, kind: errors, target: 1}]"),
		"a target in words":              top("objectives: [{name: a, kind: errors, target: high}]"),
		"a policy folder outside":        top("policies: ../p"),
		"a pattern that is no pattern":   top("naming: '('"),
		"a secret without a reason":      top("secrets: {allow: [{path: a}]}"),
		"a secret with an empty reason":  top(`secrets: {allow: [{path: a, reason: " "}]}`),
		"a reason of two lines":          top(`secrets: {allow: [{path: a, reason: "b\nc"}]}`),
		"a secret without a path":        top("secrets: {allow: [{reason: a}]}"),
		"a secret outside":               top("secrets: {allow: [{path: ../a, reason: a}]}"),
		"a secret of an unknown rule":    top("secrets: {allow: [{path: a, rule: private-keys, reason: a}]}"),
		"a secret until some day":        top("secrets: {allow: [{path: a, reason: a, until: soon}]}"),
		"a typo in the allow list":       top("secrets: {allow: [{path: a, reason: a, unless: 2027-01-31}]}"),
		"a typo above the allow list":    top("secrets: {alow: []}"),
		"a use of nothing":               uses("a: {}"),
		"a use of two things":            uses("a: {image: b, module: {source: a/b/c, version: '1'}}"),
		"a use with a bad name":          uses("A: {image: b}"),
		"a use of something unknown":     uses("a: {jar: b}"),
		"an image that is a number":      uses("a: {image: 7}"),
		"a chart without a version":      uses(`a: {chart: {repository: "https://e.com", name: b}}`),
		"a chart of no address":          uses(`a: {chart: {repository: stable, name: b, version: ^1}}`),
		"a module without a source":      uses("a: {module: {version: '1'}}"),
		"an exception of nothing":        top("pins: {exceptions: [{reason: a, until: 2027-01-31}]}"),
		"an exception without an end":    top("pins: {exceptions: [{reference: a, reason: b}]}"),
		"a pin's exception without why":  top("pins: {exceptions: [{reference: a, until: 2027-01-31}]}"),
		"a pin's exception, empty why":   top(`pins: {exceptions: [{reference: a, reason: " ", until: 2027-01-31}]}`),
		"a typo in an exception":         top("pins: {exceptions: [{ref: a, reason: b, until: 2027-01-31}]}"),
		"a typo above exceptions":        top("pins: {exception: []}"),
	}
	onlyParser := map[string]string{
		"copies that nothing judges": rollout("mirror: {percent: 5}"),
		"a canary nothing judges":    rollout("strategy: canary, steps: [{weight: 1}]"),
		"rolling, nothing judges":    rollout("strategy: rolling"),
		"judged by nothing":          rollout("strategy: rolling, judged: true"),
		"judged and not judged":      judged("strategy: rolling, judged: false"),
		"gRPC's health by HTTP/1.1":  section("command: [a], health: {grpc: true}"),
		"a job for no preview":       section("command: [a], verify: {preview: [{name: one, command: [b]}]}"),
		"weights that fall":          judged("strategy: canary, steps: [{weight: 5}, {weight: 5}]"),
		"neither more nor fewer":     judged("strategy: rolling, surge: 0, unavailable: 0"),
		"more signatures than keys":  prod("gates: {signed: {count: 2, keys: [a]}}"),
		"a pattern of no branch":     prod(`gates: {provenance: {branches: ["a["]}}`),
		"an unknown component":       settings("{}") + "objectives: [{name: a, kind: errors, target: 0.9, component: b}]\n",
		"no query":                   top("objectives: [{name: a, kind: threshold, query: 'sum(', below: 1}]"),
		"ranks of one revision":      top("objectives: [{name: a, kind: threshold, query: up, below: 1, compare: ranks}]"),
		"a drain beyond half a step": component("{kind: process, path: api, rollout: {timeout: 1m}, process: {command: [a], drain: 31s}}"),
		"a grace as long as a step":  component("{kind: process, path: api, rollout: {timeout: 1m}, process: {command: [a], stopGrace: 1m}}"),
		"a setting that drains on":   settings("{drain: 151s}"),
		"a bound nobody counts at":   top("objectives: [{name: a, kind: latency, target: 0.9, bound: 350ms}]"),
		"an unknown placeholder":     top(`objectives: [{name: a, kind: threshold, query: 'up{r="{{revison}}"}', below: 1}]`),
		"a window that is none":      top("objectives: [{name: a, kind: threshold, query: 'rate(a[{{window}}])', below: 1}]"),
		"a bad range":                top("requires: [{project: billing, versions: two}]"),
		"an unknown time zone":       window("kind: allow, timezone: Mars/Olympus"),
		"a window that never opens":  window(`kind: allow, start: "09:00", end: "09:00"`),
		"a circle":                   strings.Replace(base, "dev: {}", "dev: {from: prod}", 1),
		"a branch that git refuses":  prod("branch: a..b"),
		"a branch that conceals":     prod(`branch: "a\u009b8m"`),
		"a placeholder inside text":  section("command: [a], env: {A: 'x${components.api.address}'}"),
		"a port that does not exist": section("command: [a], listen: '127.0.0.1:70000'"),
		"soak without from":          strings.Replace(base, "dev: {}", "dev: {gates: {soak: 1m}}", 1),
		"a denial for ever":          window("kind: deny"),
		"an unknown dependency":      component("{kind: process, path: api, dependsOn: [db], process: {command: [a]}}"),
		"all secrets everywhere":     top("secrets: {allow: [{path: '**/*', reason: a}]}"),
		"a pattern without its end":  top("secrets: {allow: [{path: 'a/[b', reason: a}]}"),
		"a ** beside other letters":  top("secrets: {allow: [{path: 'a/**.pem', reason: a}]}"),
		"one path and rule twice":    top("secrets: {allow: [{path: a, reason: a}, {path: a, reason: b}]}"),
		"an image that is none":      uses(`a: {image: "https://e.com/a"}`),
		"a chart with a password":    uses(`a: {chart: {repository: "https://a:b@e.com", name: b, version: ^1}}`),
		"a range that is none":       uses(`a: {chart: {repository: "https://e.com", name: b, version: one}}`),
		"a module in the repository": uses("a: {module: {source: ./a}}"),
		"a module without a version": uses("a: {module: {source: a/b/c}}"),
		"a git module with one":      uses(`a: {module: {source: "git::https://e.com/a", version: "1"}}`),
		"a command for git":          uses(`a: {module: {source: "git::ext::sh"}}`),
		"an exception for all files": top("pins: {exceptions: [{path: '**', reason: b, until: 2027-01-31}]}"),
		"an exception a second time": top("pins: {exceptions: [{path: a, reason: b, until: 2027-01-31}, {path: a, reason: c, until: 2028-01-31}]}"),
		"two environments a branch":  strings.Replace(prod("branch: main"), "dev: {}", "dev: {branch: main}", 1),
	}
	s := compiledSchema(t)
	check := func(t *testing.T, src string, schema, parser bool) {
		err := validate(t, s, []byte(src))
		if (err == nil) != schema {
			t.Errorf("the schema accepts: %t, want %t: %v\n%s", err == nil, schema, err, src)
		}
		p, err := projectfile.Parse([]byte(src), builders())
		acceptable(t, p)
		if (err == nil) != parser {
			t.Errorf("the parser accepts: %t, want %t: %v\n%s", err == nil, parser, err, src)
		}
	}
	for name, src := range accepted {
		t.Run("both accept "+name, func(t *testing.T) { check(t, src, true, true) })
	}
	for name, src := range refused {
		t.Run("both refuse "+name, func(t *testing.T) { check(t, src, false, false) })
	}
	for name, src := range onlyParser {
		t.Run("only the parser refuses "+name, func(t *testing.T) { check(t, src, true, false) })
	}
}

func TestSchema_AcceptsTheExamplesOfTheRepository(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "*", projectfile.Filename))
	if err != nil {
		t.Fatal(err)
	}
	s := compiledSchema(t)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			src := readFile(t, file)
			if err := validate(t, s, src); err != nil {
				t.Errorf("the schema refuses it: %v", err)
			}
			if _, err := projectfile.Parse(src, builders()); err != nil {
				t.Errorf("the parser refuses it: %v", err)
			}
		})
	}
}
