package oci

import (
	"maps"
	"slices"

	digest "github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

// Annotations of a layer: which component's files it holds, or which folder.
const (
	AnnotationComponent = "org.towpath.component"
	AnnotationFolder    = "org.towpath.folder"
)

// MaxManifest and MaxContent are the largest manifest and release content that
// are accepted, in bytes.
const (
	MaxManifest = 4 << 20
	MaxContent  = 16 << 20
)

// Manifest is a release's OCI manifest: what a store must have to have the
// release.
type Manifest struct {
	Config Blob
	Layers []Layer // components by name, then folders by role
}

// Blob is a digest and a size in bytes.
type Blob struct {
	Digest towpath.Digest `json:"digest"`
	Size   int64          `json:"size"`
}

// Layer is a layer of a manifest; either Component or Folder is set.
type Layer struct {
	Blob
	Component towpath.ComponentName `json:"component,omitempty"`
	Folder    string                `json:"folder,omitempty"` // the role of a folder
}

// Encoded is a release in bytes.
type Encoded struct {
	Digest   towpath.Digest // of the release: of Manifest
	Manifest []byte
	Content  []byte
}

// Encode gives a release its one form in bytes.
func Encode(c *towpath.ReleaseContent) (Encoded, error) {
	const op = "oci.encode"
	if err := checkContent(op, c); err != nil {
		return Encoded{}, err
	}
	content, err := Canonical(c)
	if err != nil {
		return Encoded{}, err
	}
	m := Manifest{Config: Blob{Digest: towpath.DigestOf(content), Size: int64(len(content))}, Layers: layersOf(c)}
	manifest, err := Canonical(m.encode())
	if err != nil {
		return Encoded{}, err
	}
	if len(content) > MaxContent || len(manifest) > MaxManifest {
		return Encoded{}, towpath.E(towpath.KindExhausted, op, "the release describes more than fits: %d bytes of content, %d of manifest", len(content), len(manifest)).
			WithHint("split the project: at most %d bytes of content and %d of manifest are accepted", MaxContent, MaxManifest)
	}
	// Specs that were not canonical are now, and have other revisions.
	if _, err := ParseContent(content); err != nil {
		return Encoded{}, err
	}
	return Encoded{Digest: towpath.DigestOf(manifest), Manifest: manifest, Content: content}, nil
}

func layersOf(c *towpath.ReleaseContent) []Layer {
	layers := make([]Layer, 0, len(c.Components)+len(c.Folders))
	for _, x := range c.Components {
		layers = append(layers, Layer{Blob: Blob{Digest: x.Layer, Size: x.Size}, Component: x.Name})
	}
	for _, f := range c.Folders {
		layers = append(layers, Layer{Blob: Blob{Digest: f.Layer, Size: f.Size}, Folder: f.Role})
	}
	return layers
}

func (m *Manifest) encode() v1.Manifest {
	out := v1.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    towpath.MediaTypeManifest,
		ArtifactType: towpath.ArtifactTypeRelease,
		Config:       descriptor(towpath.MediaTypeReleaseContent, m.Config),
		Layers:       []v1.Descriptor{},
	}
	for _, l := range m.Layers {
		d := descriptor(towpath.MediaTypeFolderLayer, l.Blob)
		d.Annotations = map[string]string{AnnotationFolder: l.Folder}
		if l.Component != "" {
			d.MediaType = towpath.MediaTypeComponentLayer
			d.Annotations = map[string]string{AnnotationComponent: string(l.Component)}
		}
		out.Layers = append(out.Layers, d)
	}
	return out
}

func descriptor(mediaType string, b Blob) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.Digest(b.Digest), Size: b.Size}
}

// ParseManifest reads the manifest of a release. It accepts only the bytes that
// [Encode] makes; whether content and layers agree is for [Decode].
func ParseManifest(b []byte) (*Manifest, error) {
	const op = "oci.parse-manifest"
	if len(b) > MaxManifest {
		return nil, towpath.E(towpath.KindExhausted, op, "the manifest is larger than %d bytes", MaxManifest)
	}
	var raw v1.Manifest
	if err := decodeStrict(op, "manifest", b, &raw); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) error {
		return towpath.E(towpath.KindInvalid, op, format, args...).
			WithHint("publish the manifest that `towpath release build` made")
	}
	switch {
	case raw.SchemaVersion != 2 || raw.MediaType != towpath.MediaTypeManifest:
		return nil, wrong("the manifest is not an OCI image manifest")
	case raw.ArtifactType != towpath.ArtifactTypeRelease:
		return nil, wrong("the manifest is of a %q, not of a release", raw.ArtifactType)
	case raw.Config.MediaType != towpath.MediaTypeReleaseContent:
		return nil, wrong("the manifest's config is a %q, not a release's content", raw.Config.MediaType)
	case raw.Subject != nil || len(raw.Annotations) > 0:
		return nil, wrong("the manifest has a subject or annotations, which a release's never has")
	}
	m := &Manifest{}
	var ok bool
	if m.Config, ok = plain(raw.Config); !ok || len(raw.Config.Annotations) > 0 || m.Config.Size > MaxContent {
		return nil, wrong("the manifest's config descriptor is not a valid one")
	}
	for i, d := range raw.Layers {
		l := Layer{Component: towpath.ComponentName(d.Annotations[AnnotationComponent]), Folder: d.Annotations[AnnotationFolder]}
		var want string
		switch {
		case l.Component != "" && l.Folder == "":
			want = towpath.MediaTypeComponentLayer
		case l.Folder != "" && l.Component == "":
			want = towpath.MediaTypeFolderLayer
		}
		if l.Blob, ok = plain(d); !ok || d.MediaType != want || len(d.Annotations) != 1 {
			return nil, wrong("the manifest's layer %d (annotations %v) is not a valid one", i, slices.Sorted(maps.Keys(d.Annotations)))
		}
		m.Layers = append(m.Layers, l)
	}
	return m, nil
}

// plain is a descriptor without the features that a release does not use.
func plain(d v1.Descriptor) (Blob, bool) {
	b := Blob{Digest: towpath.Digest(d.Digest), Size: d.Size}
	return b, b.Digest.Valid() && b.Size >= 0 && len(d.URLs) == 0 && d.Data == nil && d.Platform == nil && d.ArtifactType == ""
}
