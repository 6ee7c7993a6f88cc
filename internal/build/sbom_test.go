package build_test

import (
	"bytes"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/towpath/towpath/internal/build"
)

func TestBuild_sbom(t *testing.T) {
	locked := "sha256:" + strings.Repeat("ab", 32)
	components := map[string]string{"api": "inputs: [go.mod, shared]\n", "web": ""}
	r := repo(t, components, map[string]string{
		"go.mod":                   "module example.com/shop\nrequire example.com/lib v1.0.0\n",
		"go.sum":                   "example.com/lib v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"shared/x":                 "",
		"web/package-lock.json":    `{"lockfileVersion": 3, "packages": {"node_modules/left-pad": {"version": "1.3.0"}}}`,
		"other/package-lock.json":  `{"lockfileVersion": 3, "packages": {"node_modules/not-ours": {"version": "1.0.0"}}}`,
		"shared/package-lock.json": `{"lockfileVersion": 1}`,
		"web/go.mod/not-a-file":    "",
		"towpath.lock":             "version: 1\nentries:\n  - {name: 'example.com/base:1', digest: '" + locked + "'}\n",
	})
	res := newBench(t).build(r.Dir, build.Request{Version: "1.0.0"})
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(res.SBOM), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	hashes := map[string]string{}
	for _, c := range *bom.Components {
		hashes[c.BOMRef] = ""
		if c.Hashes != nil {
			hashes[c.BOMRef] = (*c.Hashes)[0].Value
		}
	}
	t.Run("names the release and every material with its digest", func(t *testing.T) {
		if got := (*bom.Metadata.Component.Hashes)[0].Value; got != res.Digest.Hex() {
			t.Errorf("the bill is about %s, not %s", got, res.Digest)
		}
		want := map[string]string{
			"component/api": res.Components[0].Layer.Hex(), "component/web": res.Components[1].Layer.Hex(), "folder/policies": res.Components[2].Layer.Hex(),
			"pin/example.com/base:1": strings.Repeat("ab", 32), "pkg:golang/example.com/lib@v1.0.0": strings.Repeat("0", 64), "pkg:npm/left-pad@1.3.0": "",
		}
		for ref, hash := range want {
			if got, ok := hashes[ref]; !ok || got != hash {
				t.Errorf("%s has %q (%t), want %q", ref, got, ok, hash)
			}
		}
		if len(hashes) != len(want) {
			t.Errorf("%v", hashes)
		}
	})
	t.Run("says what could not be read", func(t *testing.T) {
		if len(res.Warnings) != 2 || !strings.Contains(res.Warnings[0], "shared/package-lock.json: its lockfileVersion is 1") ||
			!strings.Contains(res.Warnings[1], `web/go.mod: "web/go.mod" is not a file`) || bom.Compositions == nil {
			t.Errorf("%q", res.Warnings)
		}
	})
	t.Run("is the same for the same tree, built at another time as another version, also from the cache", func(t *testing.T) {
		b := newBench(t)
		b.now = b.now.AddDate(1, 0, 0)
		for range 2 {
			if again := b.build(r.Dir, build.Request{Version: "2.0.0"}); !bytes.Equal(again.SBOM, res.SBOM) {
				t.Fatalf("%s\n%s", again.SBOM, res.SBOM)
			}
		}
	})
}
