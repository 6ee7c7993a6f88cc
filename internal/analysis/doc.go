// Package analysis judges the new revision (the canary) of a rollout from
// samples: what was counted of it and of the baseline beside it. It is pure: no
// I/O, no clock, no context. It does not know where samples come from, nor what
// is done about its judgement.
package analysis
