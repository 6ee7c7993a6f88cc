//go:build long

package analysis

// How much is simulated: what the figures in docs/adr/0050 are about.
const (
	rollouts          = 10_000
	rolloutsOfAPast   = 2_000 // of which the baseline was seen for a minute before
	rolloutsOfASwitch = 2_000 // the new revision has all of the traffic at once
	rolloutInterval   = 300
	powerTrials       = 2_000
)
