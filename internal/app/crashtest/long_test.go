//go:build long

package crashtest_test

import (
	"fmt"
	"strings"
)

// sqliteHits is which passings of each step kill the server: all, and of those
// that nearly everything passes every fourth.
func sqliteHits(point string, n int) bool { return !everywhere(point) || n%4 == 1 }

// everywhere is whether nearly everything passes a step.
func everywhere(point string) bool {
	layer, _, _ := strings.Cut(point, ".")
	return layer == "store" || layer == "ledger" || layer == "api"
}

// postgresHits is the same on PostgreSQL, where each restart waits for the
// leases of the server that died: every fifth, of each step in another phase.
func postgresHits(point string, n int) bool { return n == 1 || (n+len(point))%5 == 0 }

// canaryHits is which passings of each step kill the server during a canary:
// every third, and of those that nearly everything passes every twentieth.
func canaryHits(point string, n int) bool {
	if everywhere(point) {
		return n%20 == 0
	}
	return n%3 == 0
}

// mirrorHits are the passings that kill the server during copies.
func mirrorHits() []string {
	return []string{"deployment.stepped:8", "operation.claimed:5", "operation.finished:4", "operation.finished:11"}
}

// agentHits are the passings that kill the agent during a canary: every other one
// of all that it passes while a good release gets its traffic and a bad one goes
// back.
func agentHits() []string {
	var out []string
	for point, most := range map[string]int{
		"agent.after-accepted": 12, "agent.after-intent": 12, "agent.before-effect": 12, "agent.after-effect": 12, "agent.after-done": 12,
		"agent.before-report": 12, "agent.after-report": 12, "agent.before-files": 2,
		"run.before-shim": 2, "run.after-shim": 2, "run.after-healthy": 2, "run.before-shift": 3, "run.after-shift": 3,
		"run.before-switch": 2, "run.after-switch": 2, "run.before-stop": 2, "run.after-stop": 2,
	} {
		for n := 1; n <= most; n += 2 {
			out = append(out, fmt.Sprintf("%s:%d", point, n))
		}
	}
	return out
}
