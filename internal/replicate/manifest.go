package replicate

import (
	"encoding/json"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// The media types of manifests, which name other things.
const (
	mediaDocker     = "application/vnd.docker.distribution.manifest.v2+json"
	mediaDockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func isManifest(mediaType string) bool {
	return isIndex(mediaType) || mediaType == v1.MediaTypeImageManifest || mediaType == mediaDocker
}

func isIndex(mediaType string) bool {
	return mediaType == v1.MediaTypeImageIndex || mediaType == mediaDockerList
}

// Node is a manifest and what it names.
type Node struct {
	v1.Descriptor                 // with its artifact type
	Subject       *v1.Descriptor  // what it is about
	Manifests     []v1.Descriptor // of an index
	Blobs         []v1.Descriptor // config and layers
}

// document is a manifest or an index. Pointers and slices tell "absent" from
// "empty".
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"` // are not kept: they may be large
}

// parse reads a manifest whose bytes are those of its descriptor.
func parse(d v1.Descriptor, body []byte, limits Limits) (Node, error) {
	refuse := func(format string, args ...any) (Node, error) {
		return Node{}, malformed(d, format, args...)
	}
	if !isManifest(d.MediaType) {
		return refuse("the media type %q is none of a manifest that is known here", shown(d.MediaType))
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		return Node{}, malformed(d, "it is not JSON of a manifest").WithCause(err)
	}
	// A document that is both could be read as either: who verified the one
	// would run the other.
	switch {
	case doc.SchemaVersion != 2:
		return refuse("its schema version is %d, and only 2 is known", doc.SchemaVersion)
	case doc.MediaType != "" && doc.MediaType != d.MediaType:
		return refuse("it says that it is %q, and is named as %q", shown(doc.MediaType), d.MediaType)
	case isIndex(d.MediaType) && (doc.Config != nil || doc.Layers != nil):
		return refuse("it is an index with config or layers")
	case !isIndex(d.MediaType) && doc.Manifests != nil:
		return refuse("it is a manifest that lists manifests")
	case !isIndex(d.MediaType) && doc.Config == nil:
		return refuse("it has no config")
	case len(doc.Layers)+len(doc.Manifests) > limits.Descriptors:
		return Node{}, exceeded("replicate.parse", "a manifest names more than %d things", limits.Descriptors).On(string(d.Digest))
	}
	n := Node{Descriptor: v1.Descriptor{
		MediaType: d.MediaType, Digest: d.Digest, Size: int64(len(body)), ArtifactType: doc.ArtifactType,
	}}
	if doc.Config != nil && n.ArtifactType == "" {
		n.ArtifactType = doc.Config.MediaType
	}
	named := slices.Clone(doc.Layers)
	if doc.Config != nil {
		named = append([]v1.Descriptor{*doc.Config}, named...)
	}
	for _, b := range named {
		if err := checkDescriptor(d, b); err != nil {
			return Node{}, err
		}
		if !oci.Elsewhere(b.MediaType) {
			n.Blobs = append(n.Blobs, plain(b))
		}
	}
	for _, m := range doc.Manifests {
		if err := checkDescriptor(d, m); err != nil {
			return Node{}, err
		}
		if isManifest(m.MediaType) {
			n.Manifests = append(n.Manifests, plain(m))
		} else {
			n.Blobs = append(n.Blobs, plain(m))
		}
	}
	for _, b := range n.Blobs {
		if b.Size > limits.Blob {
			return Node{}, exceeded("replicate.parse", "%s names a blob of more than %d bytes", d.Digest, limits.Blob).On(string(d.Digest))
		}
	}
	if doc.Subject != nil {
		if err := checkDescriptor(d, *doc.Subject); err != nil {
			return Node{}, err
		}
		subject := plain(*doc.Subject)
		n.Subject = &subject
	}
	return n, nil
}

// plain is a descriptor as far as content is concerned.
func plain(d v1.Descriptor) v1.Descriptor {
	return v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// maxMediaType is the longest media type, in bytes (RFC 6838, section 4.2).
const maxMediaType = 255

// checkDescriptor checks the form of a descriptor. What has no limit of its size
// here has one where it is read: what is only named may have any.
func checkDescriptor(in, d v1.Descriptor) error {
	switch {
	case towpath.Digest(d.Digest).Algorithm() == "":
		return malformed(in, "it names the digest %q, which is none", shown(string(d.Digest)))
	case d.Size < 0 || d.MediaType == "" || len(d.MediaType) > maxMediaType:
		return malformed(in, "it names %s without a media type, with a long one, or with a negative size", d.Digest)
	}
	return nil
}

func malformed(d v1.Descriptor, format string, args ...any) *towpath.Error {
	return towpath.E(towpath.KindInvalid, "replicate.parse", "the manifest is not well-formed: "+format, args...).On(string(d.Digest)).
		WithHint("it was not made by a client of registries, or was tampered with")
}
