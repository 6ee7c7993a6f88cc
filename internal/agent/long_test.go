//go:build long

package agent_test

// crashHits is which hits of each step kill the agent: all of them.
func crashHits(int) bool { return true }
