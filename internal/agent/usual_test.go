//go:build !long

package agent_test

// crashHits is which hits of each step kill the agent: in the first operation,
// when traffic goes back, in one that moves it from a revision to another, and
// among the last.
func crashHits(n int) bool { return n == 1 || n == 3 || n == 8 || n == 19 }
