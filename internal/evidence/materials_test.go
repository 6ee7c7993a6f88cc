package evidence

import (
	"slices"
	"strings"
	"testing"
)

func TestMaterials(t *testing.T) {
	all := Materials(
		[]byte(`{"predicate": {"buildDefinition": {"resolvedDependencies": [{"name": "source", "digest": {"gitCommit": "c0ffee"}}, {"name": "example.com/base:1", "digest": {"sha256": "AB12"}}]}}}`),
		[]byte(`{"components": [{"name": "lib", "purl": "pkg:golang/example.com/lib@v1.2.0", "hashes": [{"alg": "SHA-256", "content": "cd34"}]}, {"name": "api"}, {"purl": "pkg:golang/example.com/library@v1.0.0"}]}`))
	want := []string{"api", "example.com/base:1", "gitcommit:c0ffee", "pkg:golang/example.com/lib@v1.2.0", "pkg:golang/example.com/library@v1.0.0", "sha256:ab12", "sha256:cd34", "source"}
	if !slices.Equal(all, want) {
		t.Errorf("got %q", all)
	}
	for material, is := range map[string]bool{
		"sha256:ab12": true, "SHA256:AB12": true, "sha256:cd34": true, "sha256:ef": false, "gitCommit:c0ffee": true,
		"pkg:golang/example.com/lib@v1.2.0": true, "pkg:golang/example.com/lib": true, "pkg:golang/example.com/lib@v1.2": false, "pkg:golang/example.com/li": false,
		"example.com/base:1": true, "example.com/base": false, "api": true, "ap": false,
	} {
		if got := MadeWith(all, material); got != is {
			t.Errorf("made with %s: %t", material, got)
		}
	}
	if got := Materials([]byte("rubbish"), []byte(strings.Repeat("[", 100))); len(got) > 0 {
		t.Errorf("of rubbish: %q", got)
	}
}
