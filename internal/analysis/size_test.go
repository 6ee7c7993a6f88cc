//go:build !long

package analysis

// How much is simulated: enough to see a method that is wrong.
const (
	rollouts        = 1_000
	rolloutInterval = 40
	powerTrials     = 300
)
