package build_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/kind/process/build"
	"github.com/towpath/towpath/internal/towpath"
)

func TestBuilder_Check(t *testing.T) {
	section := func(s string) string { return `{"command":["a"],` + s + `}` }
	for _, tt := range []struct {
		name, section, settings string
		want                    []kind.Problem
	}{
		{"accepts a section alone", `{"command":["a"]}`, "", nil},
		{"accepts a literal dollar brace that is escaped", section(`"env":{"A":"x$${b}"}`), "", nil},
		{"wants a command", ``, "", []kind.Problem{{Path: "command", Message: "a command is needed", Hint: "name the program and its arguments: command: [bin/api, --verbose]"}}},
		{
			"refuses a placeholder inside a text", section(`"env":{"URL":"http://${components.db.address}/"}`), "",
			[]kind.Problem{{Path: "env.URL", Message: `"http://${components.db.address}/" is no placeholder that towpath fills in`, Hint: "a placeholder is the whole value: ${components.NAME.address}; a literal ${ is written $${"}},
		},
		{
			"refuses another placeholder", section(`"env":{"H":"${HOME}"}`), "",
			[]kind.Problem{{Path: "env.H", Message: `"${HOME}" is no placeholder that towpath fills in`, Hint: "a placeholder is the whole value: ${components.NAME.address}; a literal ${ is written $${"}},
		},
		{
			"refuses an unknown output", section(`"env":{"H":"${components.db.port}"}`), "",
			[]kind.Problem{{Path: "env.H", Message: `a component has no output "port"`, Hint: "the output of a component is its address: ${components.db.address}"}},
		},
		{
			"refuses a placeholder in a command", `{"command":["a","${components.db.address}"]}`, "",
			[]kind.Problem{{Path: "command[1]", Message: "placeholders are not filled in commands", Hint: "set an environment variable in env and read that"}},
		},
		{
			"refuses reserved variables in settings", `{"command":["a"]}`, `{"env":{"PORT":"1","TOWPATH_URL":"x"}}`,
			[]kind.Problem{
				{Path: "env.PORT", Message: "PORT is set by towpath", Hint: "choose another name; PORT and TOWPATH_* are reserved"},
				{Path: "env.TOWPATH_URL", Message: "TOWPATH_URL is set by towpath", Hint: "choose another name; PORT and TOWPATH_* are reserved"},
			},
		},
		{
			"refuses a command in settings", `{"command":["a"]}`, `{"command":["b"]}`,
			[]kind.Problem{{Path: "command", Message: `"command" is not known here`, Hint: "it is the release's: write it in the component's process section"}},
		},
		{"accepts a protocol", section(`"protocol":"h2c"`), "", nil},
		{
			"guesses at a mistyped protocol", section(`"protocol":"h2"`), "",
			[]kind.Problem{{Path: "protocol", Message: `"h2" is no protocol that instances can speak`, Hint: "did you mean h2c?"}},
		},
		{
			"names the protocols that there are", section(`"protocol":"grpc"`), "",
			[]kind.Problem{{Path: "protocol", Message: `"grpc" is no protocol that instances can speak`, Hint: "known are h2c, http1"}},
		},
		{
			"refuses a protocol in settings", section(`"protocol":"h2c"`), `{"protocol":"http1"}`,
			[]kind.Problem{{Path: "protocol", Message: `"protocol" is not known here`, Hint: "it is the release's: write it in the component's process section"}},
		},
		{
			"reports what is wrong in the section once", section(`"instances":0`), `{"listen":"nowhere"}`,
			[]kind.Problem{
				{Path: "instances", Message: "0 is not between 1 and 64"},
				{Path: "listen", Message: `"nowhere" is no address`, Hint: "write an IP address and a port: 127.0.0.1:8081; port 0 is chosen once and kept"},
			},
		},
		{
			"checks what a merge makes", section(`"health":{"interval":"10s"}`), `{"health":{"deadline":"5s"}}`,
			[]kind.Problem{{Path: "health.deadline", Message: "the deadline (5s) is shorter than the interval (10s)", Hint: "give an instance time for several requests"}},
		},
		{
			"refuses two jobs of a name", section(`"verify":{"after":[{"name":"a","http":{"path":"/"}},{"name":"a","command":["b"]}]}`), "",
			[]kind.Problem{{Path: "verify.after[1].name", Message: `there are two jobs "a"`, Hint: "give each job its own name"}},
		},
		{"accepts gRPC's health check", section(`"protocol":"h2c","health":{"grpc":true}`), "", nil},
		{
			"refuses gRPC's health check of HTTP/1.1", section(`"health":{"grpc":true}`), "",
			[]kind.Problem{{Path: "health.grpc", Message: "gRPC's health check needs a component that speaks HTTP/2", Hint: "write protocol: h2c, or take it out and give the path of a GET"}},
		},
		{
			"refuses two ways to be healthy", section(`"protocol":"h2c","health":{"grpc":true,"path":"/up"}`), "",
			[]kind.Problem{{Path: "health.path", Message: "gRPC's health check has no path", Hint: "take the path out, or grpc"}},
		},
		{
			"refuses gRPC's health check in words", section(`"protocol":"h2c","health":{"grpc":"yes"}`), "",
			[]kind.Problem{{Path: "health.grpc", Message: "true or false is wanted, and this is a string", Hint: "write it without quotes"}},
		},
		{"accepts jobs for a preview", section(`"preview":"127.0.0.1:0","verify":{"preview":[{"name":"a","http":{"path":"/"}}]}`), "", nil},
		{
			"refuses jobs for a preview that is none", section(`"verify":{"preview":[{"name":"a","http":{"path":"/"}}]}`), "",
			[]kind.Problem{{Path: "verify.preview", Message: "there is no preview for these jobs to go through", Hint: "give the component an address for it: preview: 127.0.0.1:0; or make them jobs before"}},
		},
		{
			"refuses settings that take the preview of its jobs away", section(`"preview":"127.0.0.1:0","verify":{"preview":[{"name":"a","http":{"path":"/"}}]}`), `{"preview":null}`,
			[]kind.Problem{{Path: "verify.preview", Message: "there is no preview for these jobs to go through", Hint: "give the component an address for it: preview: 127.0.0.1:0; or make them jobs before"}},
		},
		{
			"refuses a stage that is mistyped", section(`"verify":{"previw":[]}`), "",
			[]kind.Problem{{Path: "verify.previw", Message: `"previw" is not known here`, Hint: "did you mean preview?"}},
		},
		{"accepts recorded traffic", section(`"verify":{"step":[{"name":"a","replay":{"requests":"test/old.har","rate":50,"within":"1s","allow":"0.5%"}}]}`), "", nil},
		{
			"says what is wrong with a replay", section(`"verify":{"before":[{"name":"a","replay":{"requests":"../x.har","methods":["LOOK"],"rate":0,"allow":"1"}},{"name":"b","http":{"path":"/"},"replay":{"requests":"x.har"}}]}`), "",
			[]kind.Problem{
				{Path: "verify.before[0].replay.rate", Message: "0 is not between 1 and 1000"},
				{Path: "verify.before[0].replay.allow", Message: `"1" is no part in percent`, Hint: "write a number from 0 to 100 and its sign: 1%, 0.5%"},
				{Path: "verify.before[0].replay.requests", Message: `"../x.har" is no file of the release`, Hint: "name the HTTP archive (HAR) that was recorded, below the component's files"},
				{Path: "verify.before[0].replay.methods", Message: `"LOOK" is no HTTP method`, Hint: "use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"},
				{Path: "verify.before[1]", Message: "a job is either a command, an http check or a replay", Hint: "give it one of command:, http: and replay:"},
			},
		},
		{
			"refuses a way out of the files", `{"command":["../a"],"workDir":"/etc"}`, "",
			[]kind.Problem{
				{Path: "command[0]", Message: `"../a" leads out of the release's files`, Hint: "use a path below the component's files"},
				{Path: "workDir", Message: `"/etc" leads out of the release's files`, Hint: "use a relative path with slashes and without .."},
			},
		},
		{
			"says what it can't read", `[1]`, `{`,
			[]kind.Problem{
				{Message: "the process section must be a map, and this is a list"},
				{Message: "the settings can't be read as JSON"},
				{Path: "command", Message: "a command is needed", Hint: "name the program and its arguments: command: [bin/api, --verbose]"},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := build.New().Check(json.RawMessage(tt.section), json.RawMessage(tt.settings))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the problems differ (-want +got):\n%s", diff)
			}
			_, err := build.New().Render(component(tt.section), "dev", json.RawMessage(tt.settings))
			if (err == nil) != (len(tt.want) == 0) {
				t.Errorf("Render says %v", err)
			}
			if err != nil && towpath.KindOf(err) != towpath.KindInvalid {
				t.Errorf("the kind of %v is %s", err, towpath.KindOf(err))
			}
		})
	}
}

func FuzzBuilder_Check(f *testing.F) {
	f.Add(`{"command":["a"],"env":{"A":"$${x}"},"logs":{"maxBytes":"1KiB"}}`, `{"env":{"A":null},"verify":{"after":[{"name":"a","http":{}}]}}`)
	f.Add(`{"command":"a","health":[],"listen":7}`, `{"health":null,"instances":1e3}`)
	f.Fuzz(func(t *testing.T, section, settings string) {
		b := build.New()
		problems := b.Check(json.RawMessage(section), json.RawMessage(settings))
		raw, err := b.Render(component(section), "dev", json.RawMessage(settings))
		if (err == nil) != (len(problems) == 0) {
			t.Fatalf("Check finds %v, Render says %v", problems, err)
		}
		if err == nil && !json.Valid(raw) {
			t.Fatalf("Render gives %s", raw)
		}
	})
}
