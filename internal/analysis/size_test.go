//go:build !long

package analysis

// How much is simulated: enough to see a method that is wrong.
const (
	rollouts          = 1_000
	rolloutsOfAPast   = 300 // of which the baseline was seen for a minute before
	rolloutsOfASwitch = 300 // the new revision has all of the traffic at once
	rolloutInterval   = 40
	powerTrials       = 300
)
