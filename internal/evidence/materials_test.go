package evidence

import (
	"slices"
	"strings"
	"testing"
)

func TestMaterials(t *testing.T) {
	all, err := ProvenanceMaterials([]byte(`{"predicate": {"buildDefinition": {"resolvedDependencies": [{"name": "source", "digest": {"gitCommit": "c0ffee"}}, {"name": "example.com/base:1", "digest": {"sha256": "AB12"}}, {"name": "ghcr.io/acme/app:RC1"}, {"name": "git::https://git.example.com/Azure/net.git?ref=v9"}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	of, err := BillMaterials([]byte(`{"bomFormat": "CycloneDX", "metadata": {"component": {"name": "shop", "components": [{"name": "below"}]}},
		"components": [{"name": "lib", "purl": "pkg:golang/example.com/lib@v1.2.0", "hashes": [{"alg": "SHA-256", "content": "cd34"}]}, {"name": "api", "components": [{"name": "x", "components": [{"purl": "pkg:npm/deep@1.0.0"}]}]}, {"purl": "pkg:golang/example.com/library@v1.0.0"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, of...)
	slices.Sort(all)
	want := []string{"api", "below", "example.com/base:1", "ghcr.io/acme/app:RC1", "git::https://git.example.com/Azure/net.git?ref=v9", "gitcommit:c0ffee", "pkg:golang/example.com/lib@v1.2.0", "pkg:golang/example.com/library@v1.0.0", "pkg:npm/deep@1.0.0", "sha256:ab12", "sha256:cd34", "source", "x"}
	if !slices.Equal(all, want) {
		t.Errorf("got %q", all)
	}
	for material, is := range map[string]bool{
		"sha256:ab12": true, "SHA256:AB12": true, "sha256:cd34": true, "sha256:ef": false, "gitCommit:c0ffee": true,
		"pkg:golang/example.com/lib@v1.2.0": true, "pkg:golang/example.com/lib": true, "pkg:golang/example.com/lib@v1.2": false, "pkg:golang/example.com/li": false,
		"example.com/base:1": true, "example.com/base": false, "ghcr.io/acme/app:RC1": true, "ghcr.io/acme/app:rc1": false, "Example.com/Base:1": false, "git::https://git.example.com/Azure/net.git?ref=v9": true, "api": true, "ap": false,
	} {
		if got := MadeWith(all, material); got != is {
			t.Errorf("made with %s: %t", material, got)
		}
	}
	for _, rubbish := range []string{"", "rubbish", `[]`, `{"predicate": []}`} {
		if got, err := ProvenanceMaterials([]byte(rubbish)); err == nil {
			t.Errorf("of the provenance %s: %q", rubbish, got)
		}
	}
	for _, rubbish := range []string{
		"", "rubbish", strings.Repeat("[", 1000), `<bom/>`, `{}`, `{"spdxVersion": "SPDX-2.3", "packages": []}`, `{"bomFormat": "CycloneDX", "components": {}}`,
		`{"bomFormat": "CycloneDX", "components": [{"purl": "pkg:npm/bad@1.0.0"}], "components": []}`,
		`{"bomFormat": "CycloneDX", "components": [{"purl": "pkg:npm/bad@1.0.0", "PURL": "pkg:npm/good@1.0.0"}]}`,
	} {
		if got, err := BillMaterials([]byte(rubbish)); err == nil {
			t.Errorf("of the bill %s: %q", rubbish, got)
		}
	}
}
