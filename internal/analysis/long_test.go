//go:build long

package analysis

// How much is simulated: what the figures in docs/adr/0050 are about.
const (
	rollouts        = 10_000
	rolloutInterval = 300
	powerTrials     = 2_000
)
