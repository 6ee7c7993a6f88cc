package oci_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

func content() *towpath.ReleaseContent {
	layer := func(s string) towpath.Digest { return towpath.DigestOf([]byte(s)) }
	spec := json.RawMessage(`{"command":["bin/<api>"],"instances":1}`)
	rendered := func(component string, layerOf string) towpath.RenderedComponent {
		return towpath.RenderedComponent{Name: towpath.ComponentName(component), Spec: spec,
			Revision: towpath.RevisionOf(towpath.KindProcess, layer(layerOf), spec)}
	}
	both := []towpath.RenderedComponent{rendered("api", "a"), rendered("web", "w")}
	return &towpath.ReleaseContent{
		Schema: towpath.ReleaseSchema, Project: "shop", Naming: `^\d`,
		Components: []towpath.ReleaseComponent{
			{Name: "api", Kind: towpath.KindProcess, Rollout: towpath.RolloutSpec{Strategy: towpath.StrategyBlueGreen, Timeout: time.Minute}, Drift: towpath.DriftReport, Layer: layer("a"), Size: 1024},
			{Name: "web", Kind: towpath.KindProcess, DependsOn: []towpath.ComponentName{"api"}, Drift: towpath.DriftReport, Layer: layer("w"), Size: 2048},
		},
		Environments: []towpath.ReleaseEnvironment{
			{Rules: towpath.EnvironmentSpec{Name: "dev", Branch: "dev", Promotion: towpath.PromotionAutomatic}, Components: both},
			{Rules: towpath.EnvironmentSpec{Name: "prod", From: "dev", Promotion: towpath.PromotionManual}, Components: both},
		},
		Objectives: []towpath.Objective{{Name: "up", Target: 0.999, Window: time.Hour}},
		Folders:    []towpath.ReleaseFolder{{Role: "policies", Layer: layer("p"), Size: 1536}},
	}
}

func encode(t testing.TB, c *towpath.ReleaseContent) oci.Encoded {
	t.Helper()
	e, err := oci.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEncode(t *testing.T) {
	e := encode(t, content())
	t.Run("gives the bytes that it always gave", func(t *testing.T) {
		// A change of this digest is a change of every release's identity.
		const want = "sha256:184d9d23e3bd61ab03cc56bbc826220366b3607f62b5482de6c31e721220ba9c"
		if e.Digest != want {
			t.Fatalf("digest %s, want %s of\n%s\n%s", e.Digest, want, e.Manifest, e.Content)
		}
	})
	t.Run("is another with another pin", func(t *testing.T) {
		seen := map[towpath.Digest]bool{e.Digest: true}
		for _, version := range []string{"7.2.4", "7.2.5"} {
			c := content()
			c.Pins = []towpath.ReleasePin{{Pin: towpath.Pin{Name: "redis:7", Kind: towpath.ExternalImage, Version: version}}}
			if d := encode(t, c).Digest; seen[d] {
				t.Errorf("%s again with %s", d, version)
			} else {
				seen[d] = true
			}
		}
	})
	t.Run("is an OCI manifest with a layer for each component and folder", func(t *testing.T) {
		m, c, err := oci.Decode(e.Manifest, e.Content)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Layers) != 3 || m.Layers[0].Component != "api" || m.Layers[2].Folder != "policies" || c.Project != "shop" {
			t.Fatalf("%+v %+v", m, c)
		}
		if !strings.Contains(string(e.Manifest), `"org.towpath.component":"api"`) || !strings.Contains(string(e.Content), "bin/<api>") {
			t.Fatalf("%s\n%s", e.Manifest, e.Content)
		}
	})
	t.Run("is the same for what was decoded", func(t *testing.T) {
		_, c, err := oci.Decode(e.Manifest, e.Content)
		if err != nil {
			t.Fatal(err)
		}
		if again := encode(t, c); again.Digest != e.Digest || !bytes.Equal(again.Content, e.Content) {
			t.Fatalf("%s\n%s", again.Content, e.Content)
		}
	})
}

func TestEncode_refuses(t *testing.T) {
	for name, change := range map[string]func(*towpath.ReleaseContent){
		"another schema":                       func(c *towpath.ReleaseContent) { c.Schema = "towpath.release/v2" },
		"a project without a name":             func(c *towpath.ReleaseContent) { c.Project = "" },
		"components out of order":              func(c *towpath.ReleaseContent) { c.Components[0], c.Components[1] = c.Components[1], c.Components[0] },
		"a component twice":                    func(c *towpath.ReleaseContent) { c.Components[1].Name = "api" },
		"a layer without a digest":             func(c *towpath.ReleaseContent) { c.Components[0].Layer = "" },
		"a dependency that is not there":       func(c *towpath.ReleaseContent) { c.Components[0].DependsOn = []towpath.ComponentName{"db"} },
		"an environment twice":                 func(c *towpath.ReleaseContent) { c.Environments[1].Rules.Name = "dev" },
		"an environment that lacks components": func(c *towpath.ReleaseContent) { c.Environments[0].Components = nil },
		"a revision of another spec":           func(c *towpath.ReleaseContent) { c.Environments[0].Components[0].Spec = json.RawMessage(`{}`) },
		"a spec that is not canonical": func(c *towpath.ReleaseContent) {
			r := &c.Environments[0].Components[0]
			r.Spec = json.RawMessage(`{"b":1,"a":2}`)
			r.Revision = towpath.RevisionOf(towpath.KindProcess, c.Components[0].Layer, r.Spec)
		},
		"settings in the rules": func(c *towpath.ReleaseContent) {
			c.Environments[0].Rules.Components = map[towpath.ComponentName]json.RawMessage{"api": nil}
		},
		"a folder without a role": func(c *towpath.ReleaseContent) { c.Folders[0].Role = "" },
		"a pin twice": func(c *towpath.ReleaseContent) {
			c.Pins = []towpath.ReleasePin{{Pin: towpath.Pin{Name: "redis:7", Version: "7"}}, {Pin: towpath.Pin{Name: "redis:7", Version: "8"}}}
		},
		"a pin without a name":          func(c *towpath.ReleaseContent) { c.Pins = []towpath.ReleasePin{{Pin: towpath.Pin{Version: "7"}}} },
		"a pin that stands for nothing": func(c *towpath.ReleaseContent) { c.Pins = []towpath.ReleasePin{{Pin: towpath.Pin{Name: "redis:7"}}} },
		"a pin with half a digest": func(c *towpath.ReleaseContent) {
			c.Pins = []towpath.ReleasePin{{Pin: towpath.Pin{Name: "redis:7", Digest: "sha256:ab"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := content()
			// The environments share their slice of components.
			c.Environments[0].Components = append([]towpath.RenderedComponent{}, c.Environments[0].Components...)
			change(c)
			if _, err := oci.Encode(c); towpath.KindOf(err) != towpath.KindInvalid {
				t.Fatal(err)
			}
		})
	}
}

func TestParseManifest_refuses(t *testing.T) {
	e := encode(t, content())
	for name, b := range map[string][]byte{
		"nothing":                   nil,
		"an empty object":           []byte(`{}`),
		"white space":               append(bytes.Clone(e.Manifest), '\n'),
		"two manifests":             append(bytes.Clone(e.Manifest), e.Manifest...),
		"another artifact type":     bytes.ReplaceAll(e.Manifest, []byte(towpath.ArtifactTypeRelease), []byte("text/plain")),
		"another config":            bytes.ReplaceAll(e.Manifest, []byte(towpath.MediaTypeReleaseContent), []byte("text/plain")),
		"an unknown layer":          bytes.Replace(e.Manifest, []byte(towpath.MediaTypeFolderLayer), []byte("text/plain"), 1),
		"a layer of the other kind": bytes.Replace(e.Manifest, []byte(towpath.MediaTypeFolderLayer), []byte(towpath.MediaTypeComponentLayer), 1),
		"a bad digest":              bytes.Replace(e.Manifest, []byte(`"sha256:`), []byte(`"sha512:`), 1),
		"a negative size":           bytes.Replace(e.Manifest, []byte(`"size":1024`), []byte(`"size":-1`), 1),
		"an unknown field":          bytes.Replace(e.Manifest, []byte(`{"artifactType"`), []byte(`{"aa":1,"artifactType"`), 1),
		"keys in another case":      bytes.Replace(e.Manifest, []byte(`"artifactType"`), []byte(`"ArtifactType"`), 1),
		"another annotation":        bytes.Replace(e.Manifest, []byte(`"org.towpath.component":"api"`), []byte(`"org.other":"api"`), 1),
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := oci.ParseManifest(b); towpath.KindOf(err) != towpath.KindInvalid {
				t.Fatalf("%+v, %v of %s", m, err, b)
			}
		})
	}
	t.Run("what is too large", func(t *testing.T) {
		if _, err := oci.ParseManifest(make([]byte, oci.MaxManifest+1)); towpath.KindOf(err) != towpath.KindExhausted {
			t.Fatal(err)
		}
	})
}

func TestDecode_refuses(t *testing.T) {
	e := encode(t, content())
	other := content()
	other.Components[0].Size++
	t.Run("the content of another release", func(t *testing.T) {
		if _, _, err := oci.Decode(e.Manifest, encode(t, other).Content); towpath.KindOf(err) != towpath.KindInvalid {
			t.Fatal(err)
		}
	})
	t.Run("layers that the content does not name", func(t *testing.T) {
		manifest := bytes.Replace(e.Manifest, []byte(`"size":1024`), []byte(`"size":1025`), 1)
		if _, _, err := oci.Decode(manifest, e.Content); towpath.KindOf(err) != towpath.KindInvalid {
			t.Fatal(err)
		}
	})
	t.Run("a content that says a thing twice", func(t *testing.T) {
		twice := bytes.Replace(e.Content, []byte(`{"components"`), []byte(`{"project":"other","components"`), 1)
		if _, err := oci.ParseContent(twice); towpath.KindOf(err) != towpath.KindInvalid {
			t.Fatal(err)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	e := encode(f, content())
	f.Add(e.Manifest)
	f.Add([]byte(`{"schemaVersion":2,"layers":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := oci.ParseManifest(b); err == nil && !bytes.Contains(b, []byte(towpath.ArtifactTypeRelease)) {
			t.Fatalf("accepted %s", b)
		}
	})
}

func FuzzParseContent(f *testing.F) {
	f.Add(encode(f, content()).Content)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := oci.ParseContent(b)
		if err != nil {
			return
		}
		e, err := oci.Encode(c)
		if err != nil || !bytes.Equal(e.Content, b) {
			t.Fatalf("accepted %s\nwhich encodes as %s (%v)", b, e.Content, err)
		}
	})
}
