package build_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process"
	"github.com/towpath/towpath/internal/kind/process/build"
	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

func component(section string) towpath.ComponentSpec {
	return towpath.ComponentSpec{Name: "api", Kind: towpath.KindProcess, Spec: json.RawMessage(section)}
}

func render(t testing.TB, section, settings string) process.Spec {
	t.Helper()
	raw, err := build.New().Render(component(section), "dev", json.RawMessage(settings))
	if err != nil {
		t.Fatal(err)
	}
	var s process.Spec
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBuilder_RenderFillsInDefaults(t *testing.T) {
	want := process.Spec{
		Command: []string{"bin/api"}, Listen: "127.0.0.1:0", Instances: 1,
		Health:    process.Health{Path: "/healthz", Interval: 500 * time.Millisecond, Timeout: time.Second, Deadline: 30 * time.Second},
		Answer:    time.Minute,
		StopGrace: 10 * time.Second,
		Logs:      process.Logs{MaxBytes: 10 << 20, Keep: 3},
	}
	if diff := cmp.Diff(want, render(t, `{"command":["bin/api"]}`, "")); diff != "" {
		t.Errorf("the spec differs (-want +got):\n%s", diff)
	}
}

func TestBuilder_RenderMergesSettings(t *testing.T) {
	const section = `{"command":["bin/api","-v"],"workDir":"./app/","env":{"A":"1","B":"2","C":"3"},
		"health":{"path":"/up","interval":"1s"},"instances":3,"answer":"5m","stopGrace":"1s","drain":"7s",
		"verify":{"before":[{"name":"one","command":["bin/one"]}],"after":[{"name":"two","http":{"path":"/"}}]}}`
	const settings = `{"env":{"B":"two","C":null,"D":"${components.db.address}"},"listen":"0.0.0.0:8081",
		"health":{"interval":null,"deadline":"1m"},"instances":null,"logs":{"maxBytes":"1MiB","keep":0},
		"verify":{"after":[{"name":"three","http":{"path":"/x","method":"POST","status":204,"contains":"ok"},"timeout":"5s"}]}}`
	want := process.Spec{
		Command: []string{"bin/api", "-v"}, WorkDir: "app", Listen: "0.0.0.0:8081", Instances: 1,
		Env: map[string]process.Value{
			"A": {Literal: "1"}, "B": {Literal: "two"}, "D": {Component: "db", Output: "address"},
		},
		Health:    process.Health{Path: "/up", Interval: 500 * time.Millisecond, Timeout: time.Second, Deadline: time.Minute},
		Answer:    5 * time.Minute,
		StopGrace: time.Second,
		Drain:     7 * time.Second,
		Verify: process.Verify{
			Before: []process.Job{{Name: "one", Command: []string{"bin/one"}, Timeout: 30 * time.Second}},
			After: []process.Job{{Name: "three", Timeout: 5 * time.Second,
				HTTP: &process.HTTPCheck{Method: "POST", Path: "/x", Status: 204, Contains: "ok"}}},
		},
		Logs: process.Logs{MaxBytes: 1 << 20, Keep: 0},
	}
	if diff := cmp.Diff(want, render(t, section, settings)); diff != "" {
		t.Errorf("the spec differs (-want +got):\n%s", diff)
	}
}

func TestBuilder_RenderIsCanonical(t *testing.T) {
	b := build.New()
	got, err := b.Render(component(`{"env":{"Z":"<&>","A":""},"command":["a"]}`), "dev", nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"answer":60000000000,"command":["a"],"env":{"A":{},"Z":{"literal":"<&>"}},"health":{"deadline":30000000000,"interval":500000000,"path":"/healthz","timeout":1000000000},"instances":1,"listen":"127.0.0.1:0","logs":{"keep":3,"maxBytes":10485760},"stopGrace":10000000000}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBuilder_RenderSaysTheProtocol(t *testing.T) {
	for said, want := range map[string]route.Protocol{`"h2c"`: route.H2C, `"http1"`: route.HTTP1} {
		if got := render(t, `{"command":["a"],"protocol":`+said+`}`, `{"instances":2}`).Protocol; got != want {
			t.Errorf("%s is rendered as %q", said, got)
		}
	}
}

func TestBuilder_RenderDoesNotDependOnTheOrderOfKeys(t *testing.T) {
	names := rapid.StringMatching(`[A-Z]{1,6}`).Filter(func(s string) bool { return s != "PORT" })
	rapid.Check(t, func(t *rapid.T) {
		env := rapid.MapOf(names, rapid.StringMatching(`[a-z<&"]{0,8}`)).Draw(t, "env")
		over := rapid.MapOf(names, rapid.Ptr(rapid.StringMatching(`[a-z]{0,8}`), true)).Draw(t, "settings")
		shuffled := func() (string, string) {
			return `{` + object(t, "env", env) + `,"command":["a"]}`, `{"instances":2,` + object(t, "env", over) + `}`
		}
		b := build.New()
		s1, o1 := shuffled()
		s2, o2 := shuffled()
		first, err := b.Render(component(s1), "dev", json.RawMessage(o1))
		if err != nil {
			t.Fatal(err)
		}
		second, err := b.Render(component(s2), "prod", json.RawMessage(o2))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Fatalf("two renderings differ:\n%s\n%s", first, second)
		}
	})
}

// object writes a field with an object in an arbitrary order of keys.
func object[V any](t *rapid.T, name string, m map[string]V) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	var fields []string
	for _, k := range rapid.Permutation(keys).Draw(t, "order") {
		v, err := json.Marshal(m[k])
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, `"`+k+`":`+string(v))
	}
	return `"` + name + `":{` + strings.Join(fields, ",") + `}`
}

func TestBuilder_Answer(t *testing.T) {
	for said, want := range map[string]time.Duration{"none": 0, "10ms": 10 * time.Millisecond, "1h": time.Hour} {
		t.Run(said, func(t *testing.T) {
			if got := render(t, `{"command":["a"],"answer":"`+said+`"}`, "").Answer; got != want {
				t.Errorf("rendered as %s", got)
			}
		})
	}
	t.Run("an environment may lift it, or have the default again", func(t *testing.T) {
		for settings, want := range map[string]time.Duration{`{"answer":"none"}`: 0, `{"answer":null}`: time.Minute} {
			if got := render(t, `{"command":["a"],"answer":"5s"}`, settings).Answer; got != want {
				t.Errorf("with %s: %s", settings, got)
			}
		}
	})
	for said, message := range map[string]string{
		`"0s"`: "0s is not between 10ms and 1h0m0s", `"2h"`: "2h0m0s is not between 10ms and 1h0m0s",
		`"never"`: `"never" is no duration`, `7`: "a duration is wanted, and this is a number",
	} {
		t.Run("refuses "+said, func(t *testing.T) {
			want := []kind.Problem{{Path: "answer", Message: message, Hint: "write how long an instance may take to begin its answer (60s, 5m), or none"}}
			if diff := cmp.Diff(want, build.New().Check(json.RawMessage(`{"command":["a"],"answer":`+said+`}`), nil)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuilder_TrustedProxies(t *testing.T) {
	got := render(t, `{"command":["a"],"trustedProxies":["10.0.0.0/8"]}`, `{"trustedProxies":["192.0.2.7","2001:db8::7/32","::ffff:192.0.2.8"]}`).Proxies
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.8/32")}
	if !slices.Equal(got, want) {
		t.Errorf("an environment has %v, want %v", got, want)
	}
	for _, said := range []string{"lb.example", "10.0.0.0/33", "fe80::1%eth0", "::ffff:10.0.0.0/104", ""} {
		problems := build.New().Check(json.RawMessage(`{"command":["a"],"trustedProxies":["10.0.0.1",`+strconv.Quote(said)+`]}`), nil)
		if len(problems) != 1 || problems[0].Path != "trustedProxies[1]" || !strings.Contains(problems[0].Hint, "its range: 10.0.0.0/8") {
			t.Errorf("%q: %+v", said, problems)
		}
	}
	many := strings.TrimSuffix(strings.Repeat(`"10.0.0.1",`, 65), ",")
	if problems := build.New().Check(json.RawMessage(`{"command":["a"],"trustedProxies":[`+many+`]}`), nil); len(problems) != 1 || problems[0].Message != "there are 65, and at most 64 are taken" {
		t.Errorf("65: %+v", problems)
	}
}

func TestBuilder_Listen(t *testing.T) {
	for address, valid := range map[string]bool{
		"127.0.0.1:0": true, "127.0.0.1:8081": true, "0.0.0.0:80": true, "[::1]:8081": true,
		":8081": false, "localhost:8081": false, "127.0.0.1": false, "127.0.0.1:65536": false,
		"127.0.0.1:http": false, "127.0.0.1:-1": false, "127.0.0.1:08": false, "[fe80::1%eth0]:80": false,
	} {
		t.Run(address, func(t *testing.T) {
			got := build.New().Check(json.RawMessage(`{"command":["a"],"listen":"`+address+`"}`), nil)
			if (len(got) == 0) != valid {
				t.Errorf("problems %v, want valid %t", got, valid)
			}
		})
	}
}

func TestBuilder_KnowsItsAddressesAndReferences(t *testing.T) {
	b := build.New()
	section := json.RawMessage(`{"command":["a"],"listen":"127.0.0.1:80","env":{"A":"${components.db.address}","B":"x"}}`)
	if diff := cmp.Diff(map[string]string{"listen": "127.0.0.1:81", "preview": "127.0.0.1:82"},
		b.Addresses(section, json.RawMessage(`{"listen":"127.0.0.1:81","preview":"127.0.0.1:82"}`))); diff != "" {
		t.Error(diff)
	}
	if got := b.Addresses(section, json.RawMessage(`{"listen":null}`)); len(got) > 0 {
		t.Errorf("a port that is chosen later is taken: %v", got)
	}
	want := map[string]towpath.ComponentName{"env.A": "db", "env.C": "mail"}
	if diff := cmp.Diff(want, b.References(section, json.RawMessage(`{"env":{"C":"${components.mail.address}"}}`))); diff != "" {
		t.Error(diff)
	}
}

func TestBuilder_SchemasCompile(t *testing.T) {
	b := build.New()
	for name, raw := range map[string]json.RawMessage{"section": b.Schema(), "settings": b.SettingsSchema()} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(name, doc); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Compile(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBuilder_RendersWhatIsIgnored: it is part of the revision, which nobody else
// can widen, and it never covers what runs.
func TestBuilder_RendersWhatIsIgnored(t *testing.T) {
	b := build.New()
	c := component(`{"command": ["bin/api", "conf/main.py"], "workDir": "srv", "verify": {"after": [{"name": "a", "command": ["tests/smoke.sh"]}]}}`)
	plain, err := b.Render(c, "dev", nil)
	if err != nil || bytes.Contains(plain, []byte("ignore")) {
		t.Fatalf("%s, %v", plain, err)
	}
	c.DriftRules = &towpath.DriftRules{Debounce: time.Minute}
	if same, err := b.Render(c, "dev", nil); err != nil || !bytes.Equal(same, plain) {
		t.Errorf("what only the server obeys makes another revision: %s, %v", same, err)
	}
	c.DriftRules.Ignore = []string{"cache/**", "*.log"}
	got, err := b.Render(c, "dev", nil)
	if err != nil || !bytes.Contains(got, []byte(`"ignore":["cache/**","*.log"]`)) {
		t.Errorf("%s, %v", got, err)
	}
	seen := component(`{"command": ["bin/api"], "preview": "127.0.0.1:0", "verify": {"preview": [{"name": "a", "command": ["tests/look.sh"]}]}}`)
	seen.DriftRules = &towpath.DriftRules{Ignore: []string{"tests/*.sh"}}
	if got, err := b.Render(seen, "dev", nil); towpath.KindOf(err) != towpath.KindInvalid {
		t.Errorf("a job of the preview is ignored: %s, %v", got, err)
	}
	for command, p := range map[string]string{
		`["sh", "-c", "exec python3 'conf/main.py' --port=$PORT"]`: "conf/**",
		`["bin/api", "--config=conf/app.ini"]`:                     "conf/*.ini",
		`["bin/api", "-javaagent:lib/agent.jar=on"]`:               "lib/**",
		`["python3", "-m", "shop.api"]`:                            "shop/*.py",
		`["sh", "-c", "cd var/tmp; ../../x"]`:                      "var/**",
	} {
		named := component(`{"command": ` + command + `}`)
		named.DriftRules = &towpath.DriftRules{Ignore: []string{p}}
		if got, err := b.Render(named, "dev", nil); towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), "which the component runs") {
			t.Errorf("%s covers what %s runs: %s, %v", p, command, got, err)
		}
		named.DriftRules.Ignore = []string{"cache/**", "*.log"}
		if _, err := b.Render(named, "dev", nil); err != nil {
			t.Errorf("%s runs nothing that is ignored: %v", command, err)
		}
	}
	for _, p := range []string{"bin/**", "*/api", "**/a*", "srv/conf/*", "**/*.py", "tests/*.sh"} {
		c.DriftRules.Ignore = []string{"cache/**", p}
		if got, err := b.Render(c, "dev", nil); towpath.KindOf(err) != towpath.KindInvalid || !strings.Contains(err.Error(), "which the component runs") {
			t.Errorf("%s: %s, %v", p, got, err)
		}
	}
}
