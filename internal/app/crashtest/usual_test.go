//go:build !long

package crashtest_test

import "slices"

// sqliteHits is which passings of each step kill the server.
func sqliteHits(_ string, n int) bool { return n == 1 || n == 8 }

// postgresHits is the same on PostgreSQL, where each restart waits for the
// leases of the server that died.
func postgresHits(point string, n int) bool {
	some := []string{"api.before-answer", "deployment.stepped", "ledger.sequenced", "operation.claimed", "promotion.judged", "store.after-commit"}
	return slices.Contains(some, point) && n == 3
}

// canaryHits is which passings of each step kill the server during a canary.
func canaryHits(point string, n int) bool {
	switch point {
	case "deployment.stepped":
		return n == 4 || n == 10 || n == 16 || n == 30
	case "rollout.measured":
		return n == 1 || n == 3
	case "operation.claimed", "operation.finished":
		return n == 3 || n == 11
	}
	return n == 40
}

// mirrorHits are the passings that kill the server during copies.
func mirrorHits() []string {
	return []string{"deployment.stepped:8", "operation.claimed:5", "operation.finished:4", "operation.finished:11"}
}

// agentHits are the passings that kill the agent during a canary: some while the
// good release gets its traffic, some while the bad one goes back.
func agentHits() []string {
	return []string{
		"agent.after-effect:1", "run.after-shim:1", "run.before-shift:1", "run.after-shift:2", "run.before-switch:1", "agent.after-done:4",
		"run.after-shift:3", "run.after-switch:2", "run.after-stop:2",
	}
}
