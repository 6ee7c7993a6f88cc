package build_test

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	someDigest = "sha256:abababababababababababababababababababababababababababababababab"
	someCommit = "0123456789012345678901234567890123456789"
)

// loose is a component that uses whatever can be used, and files that name more.
func loose() (components, files map[string]string) {
	return map[string]string{"api": "inputs: [deploy]\n" + `uses:
  cache: {image: redis:7}
  queue: {chart: {repository: https://charts.example.com/, name: rabbitmq, version: ^15}}
  network: {module: {source: "git::https://git.example.com/net.git//vpc?ref=main"}}
  labels: {module: {source: cloudposse/label/null, version: ~> 0.25}}
`}, map[string]string{
			"api/Dockerfile":     "ARG GO=1.25\nFROM --platform=$BUILDPLATFORM golang:${GO} AS build\nRUN make\nFROM build\nCOPY --from=busybox@" + someDigest + " /bin/sh /bin/sh\n",
			"deploy/api.yaml":    "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: api\n          image: ghcr.io/shop/api:1.0\n",
			"deploy/compose.yml": "services:\n  db:\n    image: postgres:${PG}\n",
			"elsewhere/x.yaml":   "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: nobody/asks}]}\n",
		}
}

// withPins adds exceptions to a repository's project file.
func withPins(files map[string]string, components map[string]string, pins string) map[string]string {
	files["towpath.yaml"] = projectYAML(components) + pins
	return files
}

const looseLock = `version: 1
entries:
  - {name: "redis:7", kind: image, digest: "` + someDigest + `"}
  - {name: "https://charts.example.com/rabbitmq ^15", kind: chart, version: "15.0.2", digest: "` + someDigest + `"}
  - {name: "git::https://git.example.com/net.git//vpc?ref=main", kind: module, ref: refs/heads/main, commit: "` + someCommit + `"}
  - {name: "cloudposse/label/null ~> 0.25", kind: module, version: "0.25.0"}
  - {name: "golang:1.25", version: "1.25"}
`

func TestBuild_RefusesWhatCanMove(t *testing.T) {
	t.Run("without a lock file, every reference, with its place and what to do", func(t *testing.T) {
		components, files := loose()
		r := repo(t, components, files)
		e := newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "")
		golden(t, "unlocked.txt", e.Message+"\nhint: "+e.Hint+"\n")
	})
	t.Run("with one, what it does not pin", func(t *testing.T) {
		components, files := loose()
		files["towpath.lock"] = looseLock
		r := repo(t, components, files)
		e := newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "")
		golden(t, "movable.txt", e.Message+"\nhint: "+e.Hint+"\n")
	})
	t.Run("before anything is run", func(t *testing.T) {
		components, files := loose()
		components["api"] += shell("touch ran; false")
		r := repo(t, components, files)
		newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "redis:7")
	})
	t.Run("also what Terraform's files name", func(t *testing.T) {
		components := map[string]string{"api": ""}
		files := map[string]string{
			"api/net/main.tf": "module \"vpc\" {\n  source = \"git::https://git.example.com/net.git?ref=v1\"\n}\nterraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\" }\n  }\n}\n",
		}
		e := newBench(t).refused(repo(t, components, files).Dir, build.Request{}, towpath.KindInvalid, "api/net/main.tf:2: git::https://git.example.com/net.git?ref=v1")
		if !strings.Contains(e.Message, "api/net/main.tf:6: hashicorp/aws >= 0.0.0: it is not in towpath.lock") {
			t.Error(e.Message)
		}
		files["api/net/.terraform.lock.hcl"] = "provider \"registry.terraform.io/hashicorp/aws\" {\n  version = \"5.1.0\"\n  hashes = [\"h1:abc=\"]\n}\n"
		files["towpath.lock"] = "version: 1\nentries:\n  - {name: \"git::https://git.example.com/net.git?ref=v1\", kind: module, ref: refs/tags/v1, commit: \"" + someCommit + "\"}\n"
		res := newBench(t).build(repo(t, components, files).Dir, build.Request{})
		for _, want := range []string{"pkg:terraform/hashicorp/aws@5.1.0", "gitCommit"} {
			if !strings.Contains(string(res.Provenance), want) {
				t.Errorf("the provenance does not have %s:\n%s", want, res.Provenance)
			}
		}
		bill := pinned(t, res.SBOM)
		if c := bill["registry.terraform.io/hashicorp/aws 5.1.0"]; c.Type != cdx.ComponentTypeLibrary || c.PackageURL != "pkg:terraform/hashicorp/aws@5.1.0" || c.Version != "5.1.0" {
			t.Errorf("the bill has the provider as %+v", c)
		}
		if c := bill["git::https://git.example.com/net.git?ref=v1"]; c.Type != cdx.ComponentTypeLibrary || len(bill) != 2 {
			t.Errorf("the bill has %+v", bill)
		}
	})
	t.Run("also a file that can't be read", func(t *testing.T) {
		components := map[string]string{"api": ""}
		r := repo(t, components, map[string]string{
			"api/a.yaml": "apiVersion: v1\nkind: Pod\n\tspec: [", "api/b.yaml": "# " + strings.Repeat("a", 1<<20),
		})
		e := newBench(t).refused(r.Dir, build.Request{}, towpath.KindInvalid, "api/a.yaml: it is YAML that can't be read")
		if !strings.Contains(e.Message, "api/b.yaml: it has more than 1048576 bytes") {
			t.Error(e.Message)
		}
	})
}

// exceptions for all that looseLock leaves.
const exceptions = `pins:
  exceptions:
    - {reference: "git::https://git.example.com/net.git//vpc?ref=main", reason: the team next door has no tags yet, until: 2026-03-31}
    - {path: deploy/**, reason: moves to the registry, until: 2026-03-31}
    - {reference: golang:1.25, path: api/Dockerfile, reason: built by hand, until: 2026-03-31}
    - {reference: "redis:7", reason: was not locked, until: 2026-12-31}
`

func TestBuild_PinExceptions(t *testing.T) {
	components, files := loose()
	files["towpath.lock"] = looseLock
	r := repo(t, components, withPins(files, components, exceptions))
	t.Run("hold until their day is over", func(t *testing.T) {
		b := newBench(t)
		b.now = time.Date(2026, 3, 31, 23, 0, 0, 0, time.UTC)
		b.build(r.Dir, build.Request{})
		b.now = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
		e := b.refused(r.Dir, build.Request{}, towpath.KindInvalid, "golang:1.25: towpath.lock has no digest for it (its exception ended on 2026-03-31)")
		golden(t, "lapsed.txt", e.Message+"\nhint: "+e.Hint+"\n")
		then := time.Date(2026, 3, 31, 23, 0, 0, 0, time.UTC)
		b.build(r.Dir, build.Request{AsOf: then})
		b.now = then
		b.refused(r.Dir, build.Request{AsOf: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}, towpath.KindInvalid, "(its exception ended on 2026-03-31)")
	})
	res := newBench(t).build(r.Dir, build.Request{Version: "1.0.0"})
	t.Run("are said, also those of no use", func(t *testing.T) {
		golden(t, "excepted.txt", strings.Join(res.Warnings, "\n")+"\n")
	})
	t.Run("are in the provenance: what was let pass, why, and each material marked", func(t *testing.T) {
		var p struct {
			Predicate struct {
				BuildDefinition struct {
					ExternalParameters   struct{ PinExceptions []map[string]any }
					ResolvedDependencies []map[string]any
				}
			}
		}
		if err := json.Unmarshal(res.Provenance, &p); err != nil {
			t.Fatal(err)
		}
		d := p.Predicate.BuildDefinition
		b, err := json.MarshalIndent(map[string]any{"pinExceptions": d.ExternalParameters.PinExceptions, "materials": d.ResolvedDependencies[2:]}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "materials.json", string(b)+"\n")
	})
	t.Run("make the bill of materials incomplete", func(t *testing.T) {
		var bom cdx.BOM
		if err := json.Unmarshal(res.SBOM, &bom); err != nil {
			t.Fatal(err)
		}
		got := pinned(t, res.SBOM)
		if len(got) != 8 || got["redis:7"].Type != cdx.ComponentTypeContainer || got["cloudposse/label/null ~> 0.25"].Type != cdx.ComponentTypeLibrary {
			t.Errorf("%+v", got)
		}
		chart := got["https://charts.example.com/rabbitmq ^15"]
		if !strings.HasPrefix(chart.PackageURL, "pkg:helm/rabbitmq@15.0.2") || chart.Version != "15.0.2" || chart.Hashes == nil || (*chart.Hashes)[0].Value != someDigest[len("sha256:"):] {
			t.Errorf("the bill has the chart as %+v", chart)
		}
		if bom.Compositions == nil || len(*(*bom.Compositions)[0].Dependencies) != 4 {
			t.Errorf("%s", res.SBOM)
		}
	})
	t.Run("pins are materials that a quarantine finds, whichever way it names them", func(t *testing.T) {
		materials, err := evidence.ProvenanceMaterials(res.Provenance)
		if err != nil {
			t.Fatal(err)
		}
		of, err := evidence.BillMaterials(res.SBOM)
		if err != nil {
			t.Fatal(err)
		}
		materials = append(materials, of...)
		for _, m := range []string{
			"redis:7", someDigest, "pkg:oci/redis", "gitCommit:" + someCommit, "pkg:terraform/cloudposse/label/null@0.25.0",
			"pkg:helm/rabbitmq", "ghcr.io/shop/api:1.0", "busybox@" + someDigest,
		} {
			if !evidence.MadeWith(materials, m) {
				t.Errorf("%s is not among %q", m, materials)
			}
		}
	})
	t.Run("the same tree gives the same release and bill, offline, again and again", func(t *testing.T) {
		b := newBench(t)
		b.cfg.CacheDir = ""
		again := b.build(r.Dir, build.Request{Version: "1.0.0"})
		if again.Digest != res.Digest || string(again.SBOM) != string(res.SBOM) {
			t.Error("another release, or another bill")
		}
	})
	t.Run("another lock gives another release of otherwise the same tree", func(t *testing.T) {
		components, files := loose()
		other := strings.Repeat("cd", 32)
		files["towpath.lock"] = strings.Replace(looseLock, someDigest, "sha256:"+other, 1)
		again := newBench(t).build(repo(t, components, withPins(files, components, exceptions)).Dir, build.Request{Version: "1.0.0"})
		if again.Digest == res.Digest || !slices.Equal(again.Layers, res.Layers) {
			t.Errorf("%s is what was built with another redis, or its layers differ", again.Digest)
		}
		p := again.Content.Pins
		i := slices.IndexFunc(p, func(p towpath.ReleasePin) bool { return p.Name == "redis:7" })
		if len(p) != 8 || i < 0 || p[i].Digest.Hex() != other || p[i].Loose {
			t.Errorf("%+v", p)
		}
		if i = slices.IndexFunc(p, func(p towpath.ReleasePin) bool { return p.Name == "golang:1.25" }); i < 0 || !p[i].Loose {
			t.Errorf("%+v", p)
		}
	})
}

// pinned are the components of a bill that come from outside, by the names under
// which the project has them.
func pinned(t *testing.T, bill []byte) map[string]cdx.Component {
	t.Helper()
	var bom cdx.BOM
	if err := json.Unmarshal(bill, &bom); err != nil {
		t.Fatal(err)
	}
	out := map[string]cdx.Component{}
	for _, c := range *bom.Components {
		if name, ok := strings.CutPrefix(c.BOMRef, "pin/"); ok {
			out[name] = c
		}
	}
	return out
}

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares a text with a file of testdata/pins.
func golden(t *testing.T, name, got string) {
	t.Helper()
	at := "testdata/pins/" + name
	if *update {
		if err := os.MkdirAll("testdata/pins", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", at, diff)
	}
}
