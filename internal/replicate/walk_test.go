package replicate_test

import (
	"slices"
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// TestWalk_Order: however a source lists things, they come in one order, each
// after what it names and what it is about.
func TestWalk_Order(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := arbitrary(t)
		first := s.graph(t)
		for d := range s.about {
			slices.Reverse(s.about[d])
		}
		seen := map[digest.Digest]bool{}
		for i, n := range s.graph(t).Nodes {
			if n.Digest != first.Nodes[i].Digest {
				t.Fatalf("%d is %s, then %s", i, first.Nodes[i].Digest, n.Digest)
			}
			for _, m := range n.Manifests {
				if !seen[m.Digest] {
					t.Fatalf("%s comes before %s, which it names", n.Digest, m.Digest)
				}
			}
			if n.Subject != nil && !seen[n.Subject.Digest] {
				t.Fatalf("%s comes before its subject", n.Digest)
			}
			seen[n.Digest] = true
		}
		if len(seen) != len(first.Nodes) {
			t.Fatal("something comes twice")
		}
	})
}

func TestWalk_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit replicate.Limits
		build func(s *shelf)
		kind  towpath.Kind
		says  string
	}{
		{"a manifest that is not about what it is listed under", replicate.Limits{}, func(s *shelf) {
			other := s.manifest("application/vnd.example", nil, "other")
			s.about[s.root.Digest] = append(s.about[s.root.Digest], other)
		}, towpath.KindInvalid, "it is not"},
		{"more manifests than any release has", replicate.Limits{Manifests: 3}, nil, towpath.KindExhausted, "more than 3 manifests"},
		{"more bytes of manifests", replicate.Limits{Graph: 2000}, nil, towpath.KindExhausted, "2000 bytes"},
		{"a manifest too large", replicate.Limits{ManifestBytes: 100}, nil, towpath.KindExhausted, "100 bytes"},
		{"a manifest that names too much", replicate.Limits{Descriptors: 2}, nil, towpath.KindExhausted, "more than 2 things"},
		{"a blob too large", replicate.Limits{Blob: 1000}, nil, towpath.KindExhausted, "1000 bytes"},
		{"two sizes of one thing", replicate.Limits{}, func(s *shelf) {
			d := s.put("application/vnd.example.layer", []byte("settings"))
			d.Size++
			s.add(v1.MediaTypeImageManifest, v1.Manifest{Versioned: specsVersion(), Config: d, Subject: &s.root}, &s.root)
		}, towpath.KindInvalid, "different sizes"},
		{"a manifest that is an index too", replicate.Limits{}, func(s *shelf) {
			d := s.put(v1.MediaTypeEmptyJSON, []byte("{}"))
			s.add(v1.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "config": d, "manifests": []any{}, "subject": s.root}, &s.root)
		}, towpath.KindInvalid, "lists manifests"},
		{"a digest that is none", replicate.Limits{}, func(s *shelf) {
			s.add(v1.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "config": map[string]any{"mediaType": "x", "digest": "sha256:../../x", "size": 1}, "subject": s.root}, &s.root)
		}, towpath.KindInvalid, "which is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := story(t)
			if tt.build != nil {
				tt.build(s)
			}
			cfg := quick()
			cfg.Limits = tt.limit
			_, err := replicate.Walk(t.Context(), s, s.root, cfg)
			if kindIs(t, err, tt.kind); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v does not say %q", err, tt.says)
			}
		})
	}
}

// TestWalk_NamesOnly: what lies elsewhere may have any size, as our registry takes
// it; nothing of it is copied.
func TestWalk_NamesOnly(t *testing.T) {
	s := story(t)
	far := v1.Descriptor{MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar", Digest: digest.FromString("far"), Size: 99_999_999_999_999}
	m := v1.Manifest{
		Versioned: specsVersion(), MediaType: v1.MediaTypeImageManifest, ArtifactType: "x/y", Config: s.put(v1.MediaTypeEmptyJSON, []byte("{}")),
		Subject: &s.root, Layers: []v1.Descriptor{far},
	}
	d := s.add(m.MediaType, m, &s.root)
	n, ok := s.graph(t).Node(d.Digest)
	if !ok || len(n.Blobs) != 1 || n.Blobs[0].Digest != m.Config.Digest {
		t.Errorf("got %v, %+v", ok, n)
	}
	m.Layers[0].MediaType = "application/vnd.example.layer"
	s.add(m.MediaType, m, &s.root)
	_, err := replicate.Walk(t.Context(), s, s.root, quick())
	kindIs(t, err, towpath.KindExhausted)
}

// TestWalk_LeavesOut: whoever may attach can't keep a release from being copied.
func TestWalk_LeavesOut(t *testing.T) {
	s := story(t)
	want := s.graph(t)
	var left []digest.Digest
	var needed []towpath.Digest
	walk := func(limits replicate.Limits) (*replicate.Graph, error) {
		cfg := quick()
		left = nil
		cfg.Limits, cfg.Needed, cfg.Left = limits, needed, func(d v1.Descriptor, _ error) { left = append(left, d.Digest) }
		return replicate.Walk(t.Context(), s, s.root, cfg)
	}
	same := func(t *testing.T, g *replicate.Graph, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(g.Nodes, want.Nodes, func(a, b replicate.Node) bool { return a.Digest == b.Digest }) {
			t.Errorf("got %d nodes, want %d, or in another order", len(g.Nodes), len(want.Nodes))
		}
	}
	g, err := walk(replicate.Limits{})
	if same(t, g, err); len(left) != 0 {
		t.Errorf("left out %v", left)
	}
	signature := s.manifest("application/vnd.example.signature", &s.root, "signed settings")
	s.about[s.root.Digest] = s.about[s.root.Digest][:len(s.about[s.root.Digest])-1] // which is listed nowhere
	notManifest := s.put(v1.MediaTypeImageManifest, []byte("[]"))
	junk := []v1.Descriptor{
		s.index("application/vnd.example.junk", &s.root, signature, notManifest), // whose beginning can be read
		s.manifest("application/vnd.example.junk", nil, "about nothing"),
	}
	lie := v1.Manifest{
		Versioned: specsVersion(), MediaType: v1.MediaTypeImageManifest, ArtifactType: "x/y", Config: s.put(v1.MediaTypeEmptyJSON, []byte("{}")), Subject: &s.root,
		Layers: []v1.Descriptor{
			{MediaType: "x/y", Digest: digest.FromString("signed later"), Size: 99},
			{MediaType: "x/y", Digest: digest.FromString("settings"), Size: 99}, // which others give another size
		},
	}
	junk = append(junk, s.add(lie.MediaType, lie, &s.root))
	s.about[s.root.Digest] = append([]v1.Descriptor{junk[1]}, s.about[s.root.Digest]...)
	t.Run("what can't be read or lies", func(t *testing.T) {
		g, err := walk(replicate.Limits{})
		if same(t, g, err); len(left) != len(junk) {
			t.Errorf("left out %v", left)
		}
	})
	t.Run("nothing of it stands against what comes later", func(t *testing.T) {
		d := s.manifest("application/vnd.example.signature", &s.root, "signed later")
		g, err := walk(replicate.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := g.Node(d.Digest); !ok || len(g.Nodes) != len(want.Nodes)+1 {
			t.Errorf("got %d nodes", len(g.Nodes))
		}
	})
	t.Run("a flood, and never what is needed", func(t *testing.T) {
		last := s.manifest("application/vnd.example.signature", &s.root, "the last signature")
		g, err := walk(replicate.Limits{Manifests: 4})
		if err != nil || len(g.Nodes) != 4 {
			t.Fatal(g, err)
		}
		if _, ok := g.Node(last.Digest); ok {
			t.Error("the last is there, although there is too much before it")
		}
		needed = []towpath.Digest{towpath.Digest(last.Digest)}
		if g, err = walk(replicate.Limits{Manifests: 4}); err != nil || len(g.Nodes) != 4 {
			t.Fatal(g, err)
		}
		if _, ok := g.Node(last.Digest); !ok {
			t.Error("what is needed was left out")
		}
	})
	t.Run("what is needed and can't be read is an error", func(t *testing.T) {
		needed = []towpath.Digest{towpath.Digest(junk[0].Digest)}
		_, err := walk(replicate.Limits{})
		kindIs(t, err, towpath.KindInvalid)
	})
}
