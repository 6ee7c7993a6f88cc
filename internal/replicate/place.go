package replicate

import (
	"context"
	"io"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Source is where artifacts are read. What it yields need not be right: this
// package compares digests. An error of kind unavailable is worth another
// attempt; a thing that is not there is not-found.
type Source interface {
	// Manifest reads a manifest by digest.
	Manifest(ctx context.Context, d v1.Descriptor) ([]byte, error)
	// Blob reads a blob by digest.
	Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
	// Referrers lists the manifests whose subject this is, in any order.
	Referrers(ctx context.Context, subject v1.Descriptor) ([]v1.Descriptor, error)
}

// Destination is where artifacts are written, and read again to compare. Every
// write is one attempt, and may be made again.
type Destination interface {
	Source
	HasManifest(ctx context.Context, d v1.Descriptor) (bool, error)
	HasBlob(ctx context.Context, d v1.Descriptor) (bool, error)
	// PutBlob stores what open yields, unless it is something else.
	PutBlob(ctx context.Context, d v1.Descriptor, open Open) error
	// PutManifest stores a manifest under its digest, and makes it a referrer of
	// its subject. What it names is there.
	PutManifest(ctx context.Context, d v1.Descriptor, manifest []byte) error
}

// Mounter is a destination that may take blobs from a source without moving
// their bytes.
type Mounter interface {
	// Mount stores a blob as PutBlob does, and reports whether it got along
	// without open.
	Mount(ctx context.Context, from Source, d v1.Descriptor, open Open) (bool, error)
}

// Open begins to read content from its beginning.
type Open func() (io.ReadCloser, error)
