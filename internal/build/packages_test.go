package build_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/towpath/towpath/internal/build"
)

// TestBuild_listsBelow: packages are listed wherever the component has a list, and a
// list that nobody reads makes the bill incomplete.
func TestBuild_listsBelow(t *testing.T) {
	npm := func(name string) string {
		return `{"lockfileVersion": 3, "packages": {"node_modules/` + name + `": {"version": "1.0.0"}}}`
	}
	mod := func(name string) string { return "module example.com/x\nrequire example.com/" + name + " v1.0.0\n" }
	sum := func(name string) string {
		return "example.com/" + name + " v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	}
	for _, tt := range []struct {
		name   string
		files  map[string]string
		want   []string // packages
		hashes int
		unread []string
	}{
		{
			name: "lists in folders are read, with their sums",
			files: map[string]string{
				"api/server/go.mod": mod("a"), "api/server/go.new/go.mod": mod("b"), "api/server/go.sum": sum("a"), "api/web/package-lock.json": npm("c"), "web/x": "",
			},
			want: []string{"pkg:golang/example.com/a@v1.0.0", "pkg:golang/example.com/b@v1.0.0", "pkg:npm/c@1.0.0"}, hashes: 1,
		},
		{
			name: "what a list beside it tells of is not",
			files: map[string]string{
				"api/web/package-lock.json": npm("c"), "api/web/node_modules/c/package-lock.json": npm("not-c"), "api/web/node_modules/c/yarn.lock": "",
				"api/web/deep/node_modules/d/yarn.lock": "",
				"api/go.mod":                            mod("a"), "api/vendor/modules.txt": "", "api/vendor/example.com/a/package-lock.json": npm("not-a"), "api/vendor/example.com/a/Cargo.lock": "",
			},
			want: []string{"pkg:golang/example.com/a@v1.0.0", "pkg:npm/c@1.0.0"},
		},
		{
			name: "without one they are, and one of another kind is none",
			files: map[string]string{
				"api/go.mod": mod("a"), "api/vendor/package-lock.json": npm("b"), "api/web/node_modules/c/package-lock.json": npm("c"),
				"web/package-lock.json": npm("d"), "web/vendor/e/go.mod": mod("e"), "web/vendor/modules.txt": "",
			},
			want: []string{"pkg:golang/example.com/a@v1.0.0", "pkg:golang/example.com/e@v1.0.0", "pkg:npm/b@1.0.0", "pkg:npm/c@1.0.0", "pkg:npm/d@1.0.0"},
		},
		{
			name: "others make the bill incomplete",
			files: map[string]string{
				"api/vendor/package-lock.json": npm("not-read"), "api/composer.lock": "",
				"api/Cargo.lock": "", "api/a/requirements-dev.txt": "", "api/b/yarn.lock": "", "api/c/pnpm-lock.yaml": "", "api/requirements.md": "", "web/go.sum": "", "elsewhere/Cargo.lock": "",
			},
			unread: []string{"api/Cargo.lock: go.mod and package-lock.json are read, and no other list", "api/a/requirements-dev.txt: ", "api/b/yarn.lock: ", "api/c/pnpm-lock.yaml: ", "api/composer.lock: "},
		},
		{
			name:   "and so does what is broken, or large",
			files:  map[string]string{"api/a/go.mod": "{", "api/b/package-lock.json": strings.Repeat(" ", 16<<20) + npm("b"), "api/c/package-lock.json": npm("c")},
			want:   []string{"pkg:npm/c@1.0.0"},
			unread: []string{"api/a/go.mod: ", "api/b/package-lock.json: it has more than 16777216 bytes"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := repo(t, map[string]string{"api": "", "web": ""}, tt.files)
			res := newBench(t).build(r.Dir, build.Request{Version: "1.0.0"})
			var bom cdx.BOM
			if err := cdx.NewBOMDecoder(bytes.NewReader(res.SBOM), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
				t.Fatal(err)
			}
			var got, unread []string
			hashes := 0
			for _, c := range *bom.Components {
				switch {
				case c.Type == cdx.ComponentTypeLibrary:
					got = append(got, c.BOMRef)
					if c.Hashes != nil {
						hashes++
					}
				case c.Properties != nil:
					for _, p := range *c.Properties {
						if p.Name == "towpath:unread" {
							unread = append(unread, p.Value)
						}
					}
				}
			}
			if !slices.Equal(got, tt.want) || hashes != tt.hashes {
				t.Errorf("it has %q, %d of them with sums", got, hashes)
			}
			slices.Sort(unread)
			if !slices.EqualFunc(unread, tt.unread, strings.HasPrefix) || (bom.Compositions != nil) != (len(unread) > 0) || len(res.Warnings) != len(unread) {
				t.Errorf("it says that it is incomplete: %t, because of %q; warnings are %q", bom.Compositions != nil, unread, res.Warnings)
			}
		})
	}
}
