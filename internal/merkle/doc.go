// Package merkle owns the tamper-evident tree: hashes of leaves, inclusion and
// consistency proofs, and checkpoints signed with Ed25519. The hashes are those
// of RFC 6962; checkpoints are C2SP tlog-checkpoint notes.
//
// It must not know what a leaf means nor where hashes are stored: it reads
// them through a [Reader].
//
// Start reading at builder.go, then checkpoint.go.
package merkle
