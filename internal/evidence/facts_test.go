package evidence

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

func TestReadProvenance(t *testing.T) {
	const deps = `"buildDefinition":{"externalParameters":{"ref":"HEAD","repository":"typed"},"resolvedDependencies":[`
	const by = `"runDetails":{"builder":{"id":"https://ci.example.com"}}`
	full := towpath.ProvenanceFacts{Builder: "https://ci.example.com", Repository: "https://git.example.com/shop", Ref: "refs/heads/main", Commit: "c1"}
	for _, tt := range []struct {
		name, predicate string
		want            towpath.ProvenanceFacts
		refused         bool
	}{
		{name: "reads the source", want: full,
			predicate: `{` + deps + `{"uri":"git+https://git.example.com/shop@refs/heads/main","digest":{"gitCommit":"c1"}}]},` + by + `}`},
		{name: "takes the first commit", want: full,
			predicate: `{` + deps + `{"name":"lock","digest":{"sha256":"aa"}},{"uri":"git+https://git.example.com/shop@refs/heads/main","digest":{"gitCommit":"c1"}},{"uri":"git+x@y","digest":{"gitCommit":"c2"}}]},` + by + `}`},
		{name: "takes our source of a SHA-256 repository", want: full,
			predicate: `{` + deps + `{"name":"source","uri":"git+https://git.example.com/shop@refs/heads/main","digest":{"sha256":"c1"}}]},` + by + `}`},
		{name: "leaves a repository its user", want: towpath.ProvenanceFacts{Builder: full.Builder, Repository: "git@git.example.com:shop", Ref: "HEAD", Commit: "c1"},
			predicate: `{` + deps + `{"uri":"git+git@git.example.com:shop","digest":{"gitCommit":"c1"}}]},` + by + `}`},
		{name: "falls back to the parameters", want: towpath.ProvenanceFacts{Builder: full.Builder, Repository: "typed", Ref: "HEAD"}, predicate: `{` + deps + `]},` + by + `}`},
		{name: "takes no part of a branch for another", want: towpath.ProvenanceFacts{Builder: full.Builder, Repository: full.Repository, Ref: "refs/heads/wip@main", Commit: "c1"},
			predicate: `{` + deps + `{"uri":"git+https://git.example.com/shop@refs/heads/wip@main","digest":{"gitCommit":"c1"}}]},` + by + `}`},
		{name: "refuses two that contradict each other", refused: true,
			predicate: `{"buildDefinition":{"externalParameters":{"ref":"refs/heads/wip"},"resolvedDependencies":[{"uri":"git+https://git.example.com/shop@refs/heads/main","digest":{"gitCommit":"c1"}}]},` + by + `}`},
		{name: "refuses one without a builder", predicate: `{` + deps + `]}}`, refused: true},
		{name: "refuses another shape", predicate: `{"buildDefinition":7}`, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadProvenance([]byte(tt.predicate))
			if (err != nil) != tt.refused {
				t.Fatal(err)
			}
			if err == nil {
				if diff := cmp.Diff(tt.want, *got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestReadSBOM(t *testing.T) {
	for _, tt := range []struct {
		name, predicate string
		want            *towpath.SBOMFacts
	}{
		{"counts components", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{},{}]}`, &towpath.SBOMFacts{Format: "CycloneDX 1.6", Components: 2}},
		{"says when it is incomplete", `{"bomFormat":"CycloneDX","specVersion":"1.5","compositions":[{"aggregate":"complete"},{"aggregate":"incomplete_first_party_only"}]}`,
			&towpath.SBOMFacts{Format: "CycloneDX 1.5", Incomplete: true}},
		{"cuts its version between letters", `{"bomFormat":"CycloneDX","specVersion":"1` + strings.Repeat("ü", 100) + `"}`,
			&towpath.SBOMFacts{Format: "CycloneDX 1" + strings.Repeat("ü", 49) + "…"}},
		{"refuses another format", `{"spdxVersion":"SPDX-2.3"}`, nil},
		{"refuses another shape", `{"bomFormat":"CycloneDX","components":7}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadSBOM([]byte(tt.predicate))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestTypeOf(t *testing.T) {
	for _, short := range towpath.EvidenceTypes() {
		if uri := URI(short); uri == string(short) || TypeOf(uri) != short {
			t.Errorf("%s is short for %q, which is called %q", short, uri, TypeOf(uri))
		}
	}
	const other = "https://example.com/said/v1"
	if TypeOf(other) != other || URI(other) != other {
		t.Error("a type without a short name is not itself")
	}
}
