// Package ocidist serves the OCI distribution specification 1.1 under /v2/, so
// that the usual clients (docker, oras, cosign, containerd) push and pull
// unchanged. It must not know what may be pushed, moved or deleted: it
// translates between HTTP and the use case, and authenticates by itself because
// these clients log in in their own way. Start reading at handler.go.
package ocidist
