// Package gate owns the judgement of a promotion: from the rules in force in
// the target environment and the evidence that was gathered, one verdict per
// gate. It is pure: no I/O, no clock, no context. It does not know where
// evidence comes from, and never sees the rules that a candidate proposes.
//
// The one thing it reads is the database of time zones, through the time package.
//
// Each gate is a function in a file of its own. What they have in common:
//
//   - Missing evidence, and evidence that could not be gathered, is Wait and
//     never Allow.
//   - Deny means that waiting will not change it.
//   - A verdict carries the inputs that it saw and its reasons as sentences,
//     in an order that does not depend on the order of the evidence.
//
// Rollbacks are not promotions and are never judged here.
//
// Start reading at judge.go, then upstream.go and approvals.go.
package gate
