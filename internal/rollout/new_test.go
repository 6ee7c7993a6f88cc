package rollout

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

func TestNew_ListsWhatChangesInDependencyOrder(t *testing.T) {
	content := &towpath.ReleaseContent{Components: []towpath.ReleaseComponent{
		{Name: "api", Kind: towpath.KindProcess, DependsOn: []towpath.ComponentName{"db"}},
		{Name: "cache", Kind: towpath.KindProcess},
		{Name: "db", Kind: towpath.KindProcess},
		{Name: "web", Kind: towpath.KindProcess, DependsOn: []towpath.ComponentName{"api"}},
	}}
	env := towpath.ReleaseEnvironment{Components: []towpath.RenderedComponent{
		{Name: "api", Revision: "api2"}, {Name: "cache", Revision: "cache1"}, {Name: "db", Revision: "db2"}, {Name: "web", Revision: "web1"},
	}}
	running := []Running{
		{Component: "api", Revision: "api1"}, {Component: "cache", Revision: "cache1"},
		{Component: "old", Revision: "old1"}, {Component: "gone"}, {Component: "web", Revision: "web1", Unsure: true},
	}
	got := New(content, env, running, nil)
	type row struct {
		Component towpath.ComponentName
		Action    towpath.ChangeAction
	}
	var rows []row
	for _, r := range got {
		rows = append(rows, row{r.Component, r.Action})
	}
	want := []row{
		{"db", towpath.ActionCreate}, {"api", towpath.ActionReplace},
		{"web", towpath.ActionReplace}, // the same revision, but nobody is sure that it runs
		{"old", towpath.ActionRemove},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func TestChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after string
		want          []towpath.Change
	}{
		"equal documents differ in nothing": {`{"a":1}`, `{"a":1}`, nil},
		"a field that comes, one that goes, one that changes": {
			`{"a":1,"env":{"X":"1","Y":"2"}}`, `{"env":{"X":"3","Z":true}}`,
			[]towpath.Change{{Path: "a", Before: "1"}, {Path: "env.X", Before: "1", After: "3"}, {Path: "env.Y", Before: "2"}, {Path: "env.Z", After: "true"}},
		},
		"no document has no fields":         {``, `{"a":{"b":1}}`, []towpath.Change{{Path: "a.b", After: "1"}}},
		"numbers keep their digits":         {`{"n":1.10}`, `{"n":1.1}`, []towpath.Change{{Path: "n", Before: "1.10", After: "1.1"}}},
		"lists are compared as a whole":     {`{"l":[1,2]}`, `{"l":[1]}`, []towpath.Change{{Path: "l", Before: "[1,2]", After: "[1]"}}},
		"a map that becomes a value is one": {`{"m":{"a":1}}`, `{"m":"x"}`, []towpath.Change{{Path: "m", Before: `{"a":1}`, After: "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Changes(json.RawMessage(tt.before), json.RawMessage(tt.after))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Records of where nothing runs were written with a null; a plan is made with
// nothing, and has to be found again.
func TestRunning_NothingIsNothing(t *testing.T) {
	for _, text := range []string{`{"Component": "api", "Rendered": null}`, `{"Component": "api"}`} {
		var r Running
		if err := json.Unmarshal([]byte(text), &r); err != nil || r.Component != "api" || r.Rendered != nil {
			t.Errorf("%s is %+v, %v", text, r, err)
		}
	}
	b, err := json.Marshal(Running{Component: "api"})
	if err != nil || strings.Contains(string(b), "Rendered") {
		t.Errorf("%s, %v", b, err)
	}
}
