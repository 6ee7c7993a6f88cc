//go:build !long

package agent_test

// crashHits is which hits of each step kill the agent: in the first operation,
// in the next, and in one that moves traffic from a revision to another.
func crashHits(n int) bool { return n == 1 || n == 2 || n == 8 }
