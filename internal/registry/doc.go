// Package registry keeps OCI artifacts in repositories that belong to projects:
// manifests, the tags that name them, the referrers that are about them, and
// uploads of blobs in progress. It decides which tags never move and which
// artifacts can't be deleted, and records every change in the ledger in the
// transaction that makes it. It must not know HTTP, nor how releases are
// promoted. Start reading at service.go, then push.go and upload.go.
package registry
