package replicate

import (
	"bytes"
	"context"
	"io"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// Overlay is a source with more about an artifact than it has itself.
type Overlay struct {
	Source
	about map[digest.Digest][]v1.Descriptor
	bytes map[digest.Digest][]byte
}

// NewOverlay attaches things to a subject, on top of a source.
func NewOverlay(src Source, subject digest.Digest, more []oci.Attachment) *Overlay {
	o := &Overlay{Source: src, about: map[digest.Digest][]v1.Descriptor{}, bytes: map[digest.Digest][]byte{}}
	for _, a := range more {
		o.bytes[digest.Digest(a.Digest)] = a.Manifest
		for _, b := range a.Blobs {
			o.bytes[digest.Digest(towpath.DigestOf(b))] = b
		}
		o.about[subject] = append(o.about[subject], v1.Descriptor{
			MediaType: towpath.MediaTypeManifest, Digest: digest.Digest(a.Digest), Size: int64(len(a.Manifest)), ArtifactType: a.ArtifactType,
		})
	}
	return o
}

func (o *Overlay) has(d v1.Descriptor) bool {
	_, ok := o.bytes[d.Digest]
	return ok
}

// Manifest implements [Source].
func (o *Overlay) Manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if b, ok := o.bytes[d.Digest]; ok {
		return b, nil
	}
	return o.Source.Manifest(ctx, d)
}

// Blob implements [Source].
func (o *Overlay) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if b, ok := o.bytes[d.Digest]; ok {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	return o.Source.Blob(ctx, d)
}

// Referrers implements [Source].
func (o *Overlay) Referrers(ctx context.Context, subject v1.Descriptor) ([]v1.Descriptor, error) {
	have, err := o.Source.Referrers(ctx, subject)
	return append(have, o.about[subject.Digest]...), err
}
