// Package secretscan owns what a credential looks like: a set of rules, each
// for one well-documented format, and the engine that finds them in a stream of
// any size in bounded memory and in one pass.
//
// It must not know where the bytes come from nor what follows from a finding.
// It never keeps, returns or prints what it found: a [Finding] has no field for
// it, and none for a hash of it either, because a hash of a short password can
// be turned back by trying.
//
// Start reading at scan.go (one pass over a stream), then rule.go (what a rule
// is) and formats.go (the rules).
package secretscan
