package registry

import (
	"encoding/json"
	"mime"
	"slices"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// The media types of manifests.
const (
	mediaManifest   = towpath.MediaTypeManifest
	mediaIndex      = "application/vnd.oci.image.index.v1+json"
	mediaDocker     = "application/vnd.docker.distribution.manifest.v2+json"
	mediaDockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
	maxDescriptors  = 4096
	maxValues       = 32 * maxDescriptors // of JSON; a descriptor with its platform and annotations has some 15
	maxMediaType    = 255                 // bytes
	maxDepth        = 64                  // of objects and arrays in each other
)

// document is a manifest or an index as far as the registry reads it. Pointers
// and slices tell "absent" from "empty".
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

type descriptor struct {
	MediaType string         `json:"mediaType"`
	Digest    towpath.Digest `json:"digest"`
	Size      int64          `json:"size"`
	URLs      []string       `json:"urls"`
	Data      []byte         `json:"data"`
}

// parse reads a manifest that was sent with a content type, which may be
// empty. What it returns lacks only the repository, the digest and who pushed
// it when.
//
// A manifest in which a name comes twice is refused as MANIFEST_INVALID: one reader
// takes the first layers or subject and another the last, under one digest, so
// that who verified the one would run the other. The specifications allow that:
// the names of an object should be unique (RFC 8259, section 4), a registry may
// refuse what it finds invalid (OCI distribution 1.1, error codes), and stores to the
// byte what it takes. Names that are not known here are still taken, as the image
// specification wants.
func parse(contentType string, body []byte) (towpath.Artifact, error) {
	const op = "registry.push"
	refuse := func(format string, args ...any) (towpath.Artifact, error) {
		return towpath.Artifact{}, fail(ManifestInvalid, op, format, args...)
	}
	if oci.Values(body) > maxValues {
		return towpath.Artifact{}, fail(ManifestInvalid, op, "the manifest has more than %d values", maxValues).
			WithHint("put what is long into blobs")
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		return towpath.Artifact{}, fail(ManifestInvalid, op, "the manifest is not JSON of a manifest").WithCause(err)
	}
	if err := oci.Unambiguous(body, maxDepth); err != nil {
		return towpath.Artifact{}, fail(ManifestInvalid, op, "readers may take the manifest for different things: %v", err).
			WithHint("write every name of an object once, whatever the case of its letters")
	}
	mediaType, err := mediaTypeOf(contentType, doc)
	if err != nil {
		return towpath.Artifact{}, err
	}
	if doc.SchemaVersion != 2 {
		return refuse("the manifest has schema version %d, and only 2 is known", doc.SchemaVersion)
	}
	isIndex := mediaType == mediaIndex || mediaType == mediaDockerList
	// A document that is both could be read as either: who verified the one
	// would run the other.
	switch {
	case isIndex && (doc.Config != nil || doc.Layers != nil):
		return refuse("an index has neither config nor layers")
	case !isIndex && doc.Manifests != nil:
		return refuse("a manifest lists no manifests")
	case !isIndex && doc.Config == nil:
		return refuse("the manifest has no config")
	case len(doc.Layers)+len(doc.Manifests) > maxDescriptors:
		return refuse("the manifest lists more than %d things", maxDescriptors)
	}
	a := towpath.Artifact{
		MediaType: mediaType, Size: int64(len(body)), ArtifactType: doc.ArtifactType, Annotations: doc.Annotations,
	}
	if doc.Subject != nil {
		if err := doc.Subject.check("subject"); err != nil {
			return towpath.Artifact{}, err
		}
		a.Subject = doc.Subject.Digest
		if a.AnnotationBytes() > towpath.MaxAnnotations {
			return towpath.Artifact{}, fail(ManifestInvalid, op, "the manifest is about another one and has more than %d bytes of annotations, which are listed with it", towpath.MaxAnnotations).
				WithHint("attach what is long as a layer of it")
		}
	} else {
		a.Annotations = nil // nobody lists them: they stay in the manifest
	}
	if doc.Config != nil {
		if a.ArtifactType == "" {
			a.ArtifactType = doc.Config.MediaType
		}
		if a.References, err = refer(a.References, *doc.Config, "config", false); err != nil {
			return towpath.Artifact{}, err
		}
	}
	if len(a.ArtifactType) > maxMediaType || !plain(a.ArtifactType) {
		return refuse("the artifact type has more than %d bytes, or some that no type has", maxMediaType)
	}
	for _, l := range doc.Layers {
		if a.References, err = refer(a.References, l, "layer", false); err != nil {
			return towpath.Artifact{}, err
		}
	}
	for _, m := range doc.Manifests {
		if a.References, err = refer(a.References, m, "manifest", true); err != nil {
			return towpath.Artifact{}, err
		}
	}
	return a, nil
}

// mediaTypeOf is what the request and the document agree on.
func mediaTypeOf(contentType string, doc document) (string, error) {
	const op = "registry.push"
	sent, _, err := mime.ParseMediaType(contentType)
	if contentType == "" || sent == "application/octet-stream" {
		sent, err = doc.MediaType, nil
	}
	if err != nil {
		return "", fail(ManifestInvalid, op, "the content type is none").WithCause(err)
	}
	if doc.MediaType != "" && doc.MediaType != sent {
		return "", fail(ManifestInvalid, op, "the manifest says that it is %q, and was sent as %q", shown(doc.MediaType), shown(sent)).
			WithHint("send it with the content type of its mediaType")
	}
	if sent == "" {
		sent = mediaManifest
		if doc.Manifests != nil {
			sent = mediaIndex
		}
	}
	if !slices.Contains([]string{mediaManifest, mediaIndex, mediaDocker, mediaDockerList}, sent) {
		return "", fail(ManifestInvalid, op, "%q is no type of a manifest that is known here", shown(sent)).
			WithHint("push OCI image manifests or indexes, or Docker ones of schema 2")
	}
	return sent, nil
}

// check checks a descriptor by itself.
func (d descriptor) check(what string) error {
	const op = "registry.push"
	switch {
	case d.Digest.Algorithm() == "":
		return fail(ManifestInvalid, op, "a %s of the manifest has the digest %q, which is none", what, shown(string(d.Digest)))
	case d.Size < 0:
		return fail(ManifestInvalid, op, "a %s of the manifest has a negative size", what).On(string(d.Digest))
	case d.MediaType == "" || len(d.MediaType) > maxMediaType:
		return fail(ManifestInvalid, op, "a %s of the manifest has no media type, or a long one", what).On(string(d.Digest))
	}
	if len(d.Data) == 0 {
		return nil
	}
	h := towpath.NewHash(d.Digest.Algorithm())
	h.Write(d.Data)
	if int64(len(d.Data)) != d.Size || towpath.DigestSum(d.Digest.Algorithm(), h) != d.Digest {
		return fail(ManifestInvalid, op, "a %s of the manifest has data that is not its content", what).On(string(d.Digest))
	}
	return nil
}

// refer adds what a descriptor names, once. What lies elsewhere by its media
// type is not needed here.
func refer(all []towpath.Reference, d descriptor, what string, manifest bool) ([]towpath.Reference, error) {
	if err := d.check(what); err != nil {
		return nil, err
	}
	if !manifest && oci.Elsewhere(d.MediaType) {
		return all, nil
	}
	return append(all, towpath.Reference{Digest: d.Digest, Size: d.Size, Manifest: manifest}), nil
}
