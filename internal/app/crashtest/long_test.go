//go:build long

package crashtest_test

import "strings"

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
