// Package kindtest is the conformance suite of kind.Runner, and what tests of
// processes need: a program to run and a way to be rid of everything that was
// started. A runner passes [Runners] on a real world: real processes, real
// addresses.
package kindtest
