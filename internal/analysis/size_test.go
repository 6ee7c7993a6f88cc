//go:build !long

package analysis

// How much is simulated: enough to see a method that is wrong.
const (
	rollouts        = 2_000
	rolloutInterval = 40
	powerTrials     = 400
)
