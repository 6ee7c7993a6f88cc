//go:build race && !long

package crashtest_test

import "slices"

// sqliteHits is which passings of each step kill the server: under the race
// detector, which slows every process down, only some steps.
func sqliteHits(point string, n int) bool {
	some := []string{"api.before-answer", "deployment.stepped", "operation.claimed", "promotion.judged", "rollback.requested"}
	return n == 1 && slices.Contains(some, point)
}

// postgresHits is the same on PostgreSQL: none.
func postgresHits(string, int) bool { return false }

// canaryHits is which passings of each step kill the server during a canary.
func canaryHits(point string, n int) bool { return point == "deployment.stepped" && n == 10 }

// mirrorHits are the passings that kill the server during copies.
func mirrorHits() []string { return []string{"operation.finished:11"} }

// stepsOfExperiments is whether server and agent are killed at each step of an
// experiment, besides half way and at the end.
const stepsOfExperiments = false
