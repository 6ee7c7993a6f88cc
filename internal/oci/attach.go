package oci

import (
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

// Attached is what a manifest attaches to a release.
type Attached struct {
	ArtifactType string
	Annotations  map[string]string
	Subject      towpath.Digest
	Blobs        []Blob // the empty config, and what is attached
}

// ParseAttachment reads a manifest of the form that [AttachBundle] and
// [AttachSBOM] make; whatever else a manifest may have is refused.
func ParseAttachment(b []byte) (*Attached, error) {
	const op = "oci.parse-attachment"
	if len(b) > MaxManifest {
		return nil, towpath.E(towpath.KindExhausted, op, "the manifest of the evidence is larger than %d bytes", MaxManifest)
	}
	var raw v1.Manifest
	if err := decodeStrict(op, "manifest of evidence", b, &raw); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) error {
		return towpath.E(towpath.KindInvalid, op, format, args...).
			WithHint("hand over what `towpath release build` made; attach anything else through the registry")
	}
	switch {
	case raw.SchemaVersion != 2 || raw.MediaType != towpath.MediaTypeManifest:
		return nil, wrong("the evidence is not an OCI image manifest")
	case raw.ArtifactType == "" || raw.ArtifactType == towpath.ArtifactTypeRelease:
		return nil, wrong("%q is no type of evidence", raw.ArtifactType)
	case raw.Subject == nil || len(raw.Layers) != 1:
		return nil, wrong("evidence has one subject and one layer")
	case raw.Config.MediaType != v1.MediaTypeEmptyJSON:
		return nil, wrong("the evidence has a config, and evidence has none")
	}
	out := &Attached{ArtifactType: raw.ArtifactType, Annotations: raw.Annotations}
	subject, ok := plain(*raw.Subject)
	if !ok {
		return nil, wrong("the evidence's subject is not a valid descriptor")
	}
	out.Subject = subject.Digest
	for _, d := range []v1.Descriptor{raw.Config, raw.Layers[0]} {
		blob, ok := plain(d)
		if !ok {
			return nil, wrong("a descriptor of the evidence is not a valid one")
		}
		out.Blobs = append(out.Blobs, blob)
	}
	return out, nil
}

func emptyJSON() []byte { return []byte("{}") }

// emptyConfig is the descriptor of the OCI 1.1 guidance for artifacts without a
// config. Its content is not repeated in it, as cosign does not either.
func emptyConfig() v1.Descriptor {
	return v1.Descriptor{MediaType: v1.MediaTypeEmptyJSON, Digest: digest.FromBytes(emptyJSON()), Size: int64(len(emptyJSON()))}
}
