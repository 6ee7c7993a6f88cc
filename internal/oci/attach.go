package oci

import (
	"encoding/json"
	"maps"
	"time"

	digest "github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

// Media types of what is attached to a release.
const (
	MediaTypeBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	MediaTypeSBOM   = "application/vnd.cyclonedx+json"
)

// Annotations of a bundle's manifest, as cosign writes and looks for them.
const (
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
	contentStatement    = "dsse-envelope"
)

// Attachment is a manifest that refers to another as its subject, with all the
// bytes that it names: to be stored before it.
type Attachment struct {
	Digest       towpath.Digest // of Manifest
	Manifest     []byte
	ArtifactType string
	Annotations  map[string]string
	Blobs        [][]byte // the empty config, and what is attached
}

// AttachBundle makes the manifest that attaches a Sigstore bundle to a subject,
// in the form of `cosign sign` and `cosign attest`. Created is for people. The
// same input gives the same digest.
func AttachBundle(subject Blob, predicateType string, bundle []byte, created time.Time) (Attachment, error) {
	return attach(subject, MediaTypeBundle, bundle, map[string]string{
		annotationContent: contentStatement, annotationPredicate: predicateType,
		v1.AnnotationCreated: created.UTC().Format(time.RFC3339),
	})
}

// AttachSBOM makes the manifest that attaches a CycloneDX bill of materials as
// it is, for tools that look for one and know no bundles. It has no time: the
// bill of a release never changes, and so its attachment is the same each time.
func AttachSBOM(subject Blob, sbom []byte) (Attachment, error) {
	return attach(subject, MediaTypeSBOM, sbom, nil)
}

func attach(subject Blob, mediaType string, content []byte, annotations map[string]string) (Attachment, error) {
	return attachAs(subject, mediaType, mediaType, content, annotations)
}

func attachAs(subject Blob, artifactType, mediaType string, content []byte, annotations map[string]string) (Attachment, error) {
	const op = "oci.attach"
	if !subject.Digest.Valid() || subject.Size <= 0 {
		return Attachment{}, towpath.E(towpath.KindInternal, op, "there is nothing to attach to")
	}
	if len(content) == 0 {
		return Attachment{}, towpath.E(towpath.KindInternal, op, "there is nothing to attach").On(string(subject.Digest))
	}
	of := descriptor(towpath.MediaTypeManifest, subject)
	manifest, err := Canonical(v1.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    towpath.MediaTypeManifest,
		ArtifactType: artifactType,
		Config:       emptyConfig(),
		Layers:       []v1.Descriptor{descriptor(mediaType, Blob{Digest: towpath.DigestOf(content), Size: int64(len(content))})},
		Subject:      &of,
		Annotations:  annotations,
	})
	if err != nil {
		return Attachment{}, err
	}
	return Attachment{
		Digest: towpath.DigestOf(manifest), Manifest: manifest, ArtifactType: artifactType,
		Annotations: maps.Clone(annotations), Blobs: [][]byte{emptyJSON(), content},
	}, nil
}

// Bounds of a manifest of evidence, which anybody may have made.
const (
	maxEvidenceLayers = 16
	maxEvidenceDepth  = 16  // of objects and arrays in each other
	maxArtifactType   = 255 // bytes
)

// Attached is what a manifest attaches to a release.
type Attached struct {
	ArtifactType string
	Annotations  map[string]string
	Subject      towpath.Digest
	Blobs        []Blob // the config, and what is attached: one or more
}

// Content is what is attached, without the config.
func (a *Attached) Content() []Blob { return a.Blobs[1:] }

// ParseAttachment reads a manifest that attaches evidence, whoever made it:
// [AttachBundle], cosign, oras. Its form is not ours to demand: what it attaches
// is judged by its signature and by what it is about. It only must be one that no
// two readers take for different things, and not too large to read.
func ParseAttachment(b []byte) (*Attached, error) {
	const op = "oci.parse-attachment"
	if len(b) > MaxManifest {
		return nil, towpath.E(towpath.KindExhausted, op, "the manifest of the evidence is larger than %d bytes", MaxManifest)
	}
	wrong := func(format string, args ...any) error {
		return towpath.E(towpath.KindInvalid, op, format, args...).
			WithHint("attach it with `cosign sign`, `cosign attest`, `oras attach` or `towpath release build --key`")
	}
	if err := Unambiguous(b, maxEvidenceDepth); err != nil {
		return nil, wrong("the manifest of the evidence can't be read: %v", err)
	}
	var raw v1.Manifest
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, wrong("the manifest of the evidence can't be read: %v", err)
	}
	out := &Attached{ArtifactType: raw.ArtifactType, Annotations: raw.Annotations}
	if out.ArtifactType == "" { // before OCI 1.1 it was said there
		out.ArtifactType = raw.Config.MediaType
	}
	switch {
	case raw.SchemaVersion != 2 || raw.MediaType != "" && raw.MediaType != towpath.MediaTypeManifest:
		return nil, wrong("the evidence is not an OCI image manifest")
	case out.ArtifactType == "" || len(out.ArtifactType) > maxArtifactType || out.ArtifactType == towpath.ArtifactTypeRelease || raw.Config.MediaType == towpath.MediaTypeReleaseContent:
		return nil, wrong("%.100q is no type of evidence", out.ArtifactType)
	case raw.Subject == nil:
		return nil, wrong("the evidence says not what it is about: it has no subject")
	case len(raw.Layers) == 0 || len(raw.Layers) > maxEvidenceLayers:
		return nil, wrong("the evidence has %d layers; 1 to %d are accepted", len(raw.Layers), maxEvidenceLayers)
	}
	subject, ok := named(*raw.Subject)
	if !ok {
		return nil, wrong("the evidence's subject is not a valid descriptor")
	}
	out.Subject = subject.Digest
	for _, d := range append([]v1.Descriptor{raw.Config}, raw.Layers...) {
		blob, ok := named(d)
		if !ok {
			return nil, wrong("a descriptor of the evidence is not a valid one")
		}
		if Elsewhere(d.MediaType) {
			return nil, wrong("a layer of the evidence is a %.100q, which no registry has to have", d.MediaType)
		}
		out.Blobs = append(out.Blobs, blob)
	}
	return out, nil
}

// named is what a descriptor of others names: cosign says the type once more in
// that of the config, oras repeats its content there. Bytes that are elsewhere
// are not read.
func named(d v1.Descriptor) (Blob, bool) {
	b := Blob{Digest: towpath.Digest(d.Digest), Size: d.Size}
	return b, b.Digest.Valid() && b.Size >= 0 && len(d.URLs) == 0
}

func emptyJSON() []byte { return []byte("{}") }

// emptyConfig is the descriptor of the OCI 1.1 guidance for artifacts without a
// config. Its content is not repeated in it, as cosign does not either.
func emptyConfig() v1.Descriptor {
	return v1.Descriptor{MediaType: v1.MediaTypeEmptyJSON, Digest: digest.FromBytes(emptyJSON()), Size: int64(len(emptyJSON()))}
}
