// Package ledger owns the record of everything that happened: events inserted
// in the transaction of the change that they record, a sequencer that gives
// them gapless numbers and builds a Merkle tree over them, signed checkpoints,
// proofs, verification and export.
//
// It must not know what an event means, nor who may read it: use cases write
// events and authorise readers.
//
// A leaf is the bytes of the event's JSON as stored, encoded once; the other
// columns of the table are projections of it. Sequence numbers start at 1, and
// entry seq is leaf seq-1 of the tree.
//
// Nothing is signed that does not continue what was signed before: standing.go.
//
// Start reading at ledger.go, then sequencer.go, then verify.go.
package ledger
