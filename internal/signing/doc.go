// Package signing owns keys, signatures and whom to trust: it signs in-toto
// statements as Sigstore bundles (version 0.3) that the real cosign verifies,
// and verifies bundles, its own and cosign's, against a set of trusted keys.
// Verification fails closed, and its error says which rule was broken.
//
// It must not know what a statement says beyond its type and its subject (see
// package evidence), nor which signatures an environment wants (a gate's work).
//
// Start reading at trust.go and verify.go, then sign.go and keyfile.go.
package signing
