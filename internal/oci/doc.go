// Package oci owns the form of a release's bytes: deterministic, uncompressed
// tar layers, the canonical JSON of a release's content, the OCI 1.1 image
// manifest whose digest is the release's identity, and the manifests that attach
// evidence to it. It must not know where the bytes are kept nor what a
// component's kind does with them.
//
// Everything read here may come from outside: layers are unpacked inside an
// [os.Root] with limits, manifests and contents are refused unless they are
// exactly what this package would write for the same value.
//
// Start reading at pack.go and extract.go (layers), then manifest.go
// and attach.go.
package oci
