package evidence_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/towpath"
)

var update = flag.Bool("update", false, "rewrite golden files")

const gomod = `module example.com/api
go 1.26
require (
	github.com/Masterminds/semver/v3 v3.5.0
	example.com/old v1.0.0+incompatible // indirect
	example.com/forked v1.0.0
	example.com/local v1.0.0
)
replace example.com/forked => example.com/fork v1.2.3
replace example.com/local v1.0.0 => ../local
`

const gosum = `github.com/Masterminds/semver/v3 v3.5.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
github.com/Masterminds/semver/v3 v3.5.0/go.mod h1:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=
example.com/fork v1.2.3 h1:not base64
nonsense
`

const lock = `{"name": "web", "lockfileVersion": 3, "packages": {
  "": {"name": "web"},
  "shared": {"name": "shared", "version": "1.0.0"},
  "node_modules/shared": {"link": true, "resolved": "shared"},
  "node_modules/@scope/lib": {"version": "2.0.0", "integrity": "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA= sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="},
  "node_modules/jest": {"version": "29.0.0", "dev": true},
  "node_modules/jest/node_modules/@scope/lib": {"version": "2.0.0", "dev": true},
  "node_modules/fsevents": {"version": "2.3.0", "optional": true},
  "node_modules/short": {"name": "long-name", "version": "1.0.0"}
}}`

func TestGoModules(t *testing.T) {
	got, err := evidence.GoModules([]byte(gomod), []byte(gosum))
	if err != nil {
		t.Fatal(err)
	}
	want := []evidence.Package{
		{PURL: "pkg:golang/example.com/fork@v1.2.3", Name: "example.com/fork", Version: "v1.2.3", Scope: evidence.ScopeRequired},
		{PURL: "pkg:golang/example.com/old@v1.0.0%2Bincompatible", Name: "example.com/old", Version: "v1.0.0+incompatible", Scope: evidence.ScopeRequired},
		{
			PURL: "pkg:golang/github.com/Masterminds/semver/v3@v3.5.0", Name: "github.com/Masterminds/semver/v3", Version: "v3.5.0",
			Hash: evidence.Hash{Algorithm: "SHA-256", Sum: strings.Repeat("0", 64)}, Scope: evidence.ScopeRequired,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if _, err := evidence.GoModules([]byte("require {"), nil); err == nil {
		t.Fatal("a broken go.mod was read")
	}
}

func TestNPMPackages(t *testing.T) {
	got, err := evidence.NPMPackages([]byte(lock))
	if err != nil {
		t.Fatal(err)
	}
	want := []evidence.Package{
		{
			PURL: "pkg:npm/%40scope/lib@2.0.0", Name: "@scope/lib", Version: "2.0.0",
			Hash: evidence.Hash{Algorithm: "SHA-512", Sum: strings.Repeat("0", 128)}, Scope: evidence.ScopeRequired,
		},
		{PURL: "pkg:npm/fsevents@2.3.0", Name: "fsevents", Version: "2.3.0", Scope: evidence.ScopeOptional},
		{PURL: "pkg:npm/jest@29.0.0", Name: "jest", Version: "29.0.0", Scope: evidence.ScopeExcluded},
		{PURL: "pkg:npm/long-name@1.0.0", Name: "long-name", Version: "1.0.0", Scope: evidence.ScopeRequired},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for _, broken := range []string{"", "[]", `{"lockfileVersion": 1, "dependencies": {}}`, `{"lockfileVersion": 9}`} {
		if _, err := evidence.NPMPackages([]byte(broken)); err == nil {
			t.Errorf("%q was read", broken)
		}
	}
}

func bill(t *testing.T) evidence.Bill {
	t.Helper()
	modules, err := evidence.GoModules([]byte(gomod), []byte(gosum))
	if err != nil {
		t.Fatal(err)
	}
	npm, err := evidence.NPMPackages([]byte(lock))
	if err != nil {
		t.Fatal(err)
	}
	development := slices.Clone(npm)
	for i := range development {
		development[i].Scope = evidence.ScopeExcluded
	}
	return evidence.Bill{
		Project: "shop", Release: release,
		Parts: []evidence.Part{
			{Name: "api", Kind: "process", Layer: towpath.DigestOf([]byte("api")), Packages: append(modules, development...)},
			{
				Name: "web", Kind: "process", Layer: towpath.DigestOf([]byte("web")), DependsOn: []towpath.ComponentName{"api"},
				Packages: npm, Unread: []string{"web/go.mod: it is broken"},
			},
			{Name: "policies", Layer: towpath.DigestOf([]byte("policies"))},
		},
		Pins: []evidence.Pin{{Pin: towpath.Pin{Name: "example.com/base:1", Digest: towpath.DigestOf([]byte("base"))}}},
	}
}

func TestMakeBill(t *testing.T) {
	got, err := evidence.MakeBill(bill(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("is what it was", func(t *testing.T) {
		path := filepath.Join("testdata", "sbom.json")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s differs (rewrite with -update): %v\n%s", path, err, got)
		}
	})
	t.Run("is the same in whatever order things come", func(t *testing.T) {
		b := bill(t)
		slices.Reverse(b.Parts)
		for i := range b.Parts {
			slices.Reverse(b.Parts[i].Packages)
		}
		if again, err := evidence.MakeBill(b); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%v\n%s\n%s", err, again, got)
		}
	})
	t.Run("is CycloneDX in which every reference leads somewhere, and every material has its digest", func(t *testing.T) {
		var bom cdx.BOM
		if err := cdx.NewBOMDecoder(bytes.NewReader(got), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
			t.Fatal(err)
		}
		refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
		for _, c := range *bom.Components {
			if refs[c.BOMRef] {
				t.Errorf("%s comes twice", c.BOMRef)
			}
			refs[c.BOMRef] = true
			if c.PackageURL == "" && (c.Hashes == nil || len((*c.Hashes)[0].Value) != 64) {
				t.Errorf("%s has no digest", c.BOMRef)
			}
		}
		if len(*bom.Dependencies) != len(refs) {
			t.Errorf("%d dependencies for %d components", len(*bom.Dependencies), len(refs))
		}
		for _, d := range *bom.Dependencies {
			if d.Dependencies == nil {
				continue
			}
			for _, on := range *d.Dependencies {
				if !refs[on] {
					t.Errorf("%s depends on %s, which is not there", d.Ref, on)
				}
			}
		}
		if bom.Compositions == nil || (*bom.Compositions)[0].Aggregate != cdx.CompositionAggregateIncomplete {
			t.Error("it does not say that it is incomplete")
		}
	})
}
