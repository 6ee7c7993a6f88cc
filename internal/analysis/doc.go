// Package analysis judges the new revision (the canary) of a rollout from
// samples: what was counted of it and of the baseline beside it, interval by
// interval. It is pure: no I/O, no clock, no context. It does not know where
// samples come from, nor what is done about its judgement.
//
// # Questions and outcomes
//
// Of each [Objective] it asks: does the new revision break it; is it worse than
// the baseline running beside it in the same intervals; does it use up the error
// budget too fast. The outcomes [Worse], [NotWorse], [Undecided] and [NoEvidence]
// are different things. A source that errs is none of them: such readings add
// nothing; after more than three intervals in a row without a reading of both
// revisions there is no evidence, whatever was seen before. Breaking an objective that the baseline breaks too is not worse.
//
// # Evidence
//
// All tests are anytime-valid. Evidence is an e-process: what a series of bets
// against "no difference" has made of 1, where no bet is better than fair if there
// is none. By Ville's inequality it ever reaches 1/α with a probability of at most
// α, so it may be looked at as often as one likes. The risk α of a rollout is
// divided among its objectives, and that of an objective among its questions.
//
// Comparison: given that b of an interval's requests were bad in both revisions,
// the canary's part of them is binomial with its share s of the requests, at
// whatever rate. A bet on the ratio ρ multiplies by ρ^b₁ / (sρ+1−s)^b; a mixture
// over ratios from 1.25 to 100 stakes most on 2. An outage or a daily cycle that
// both see drops out. This is the conditional test of Lindon and Malek, "Anytime-
// Valid Inference for Multinomial Count Data" (NeurIPS 2022), over a grid.
//
// Objective: the same with binomial likelihood ratios of the canary's own rate
// against the budget. Burn rate: a mixture of these over all intervals at which it
// may have begun (Shiryaev and Roberts), at a multiple of the budget, while both
// windows burn. Both are asked only beside a baseline that clearly keeps the
// objective.
//
// # Bursts
//
// Requests are not independent: bad ones come in bursts, and `increase()`
// extrapolates counts. Log evidence is divided by the dispersion (variance over
// mean), which is exact for bursts of exactly that size, and for other things a
// quasi-likelihood. The dispersion is the posterior, over a grid from 1 to 200, of
// how the counts of each revision scatter about their own recent rate; an interval
// is judged by what was known of the canary before it, and of the baseline with
// it. As long as bursts of three and more are not ruled out, each plausible
// dispersion has to be refuted by the bets and by the scatter together. What happens within one interval is one coincidence,
// however large: beside a silent baseline bad requests in bulk speak when two or
// three intervals in a row have them, and at once only if the baseline was silent
// for long before the canary came. docs/adr/0050 has the figures, and what the
// tests can't see.
//
// # Promises
//
// Units of sampled values change nothing. A judgement depends on the intervals
// only, not on when it was asked for, and [Replay] judges a recorded one again to
// the same. Worse, once shown, stays. Input and work are bounded.
//
// Start reading at Judge, then tracker.go, comparison.go, dispersion.go and
// coincidence.go.
package analysis
