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
		ArtifactType: mediaType,
		Config:       emptyConfig(),
		Layers:       []v1.Descriptor{descriptor(mediaType, Blob{Digest: towpath.DigestOf(content), Size: int64(len(content))})},
		Subject:      &of,
		Annotations:  annotations,
	})
	if err != nil {
		return Attachment{}, err
	}
	return Attachment{
		Digest: towpath.DigestOf(manifest), Manifest: manifest, ArtifactType: mediaType,
		Annotations: maps.Clone(annotations), Blobs: [][]byte{emptyJSON(), content},
	}, nil
}

func emptyJSON() []byte { return []byte("{}") }

// emptyConfig is the descriptor of the OCI 1.1 guidance for artifacts without a
// config. Its content is not repeated in it, as cosign does not either.
func emptyConfig() v1.Descriptor {
	return v1.Descriptor{MediaType: v1.MediaTypeEmptyJSON, Digest: digest.FromBytes(emptyJSON()), Size: int64(len(emptyJSON()))}
}
