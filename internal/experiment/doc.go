// Package experiment says of two releases that ran side by side which one is
// better on what, and how certain that is. It is pure: [Judge] makes the same
// report of the same [Evidence], which is kept. It does not know where the
// evidence comes from, nor what is done about the report.
//
// # What is compared
//
// Everything is a sum over a number of things: failed requests over requests,
// orders over requests, money over requests. What is compared is the ratio of
// the sums of the new release and that of the old one beside it.
//
// # Certainty
//
// Requests are not independent of each other: they come in bursts and waves. So
// the unit is a span of time, not a request: an experiment is cut into at most
// 60 spans, and what scatters is by how much each span's difference is off from
// that of all (linearised, as of any estimator of a ratio). Spans that are like
// those before them count for less: the variance is that of Newey and West with
// three lags or that of an autoregression, if one is greater. It is never less than what independent
// requests would have, with one more success and one more failure than there
// were, so that nothing is certain because nothing has happened yet.
//
// The interval around a difference is a confidence sequence: it holds at all
// looks at once, not only at the planned end, so an experiment may be looked at
// as often as one likes, and ended early. It is the Gaussian mixture of Robbins,
// asymptotic in the sense of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
// "Time-uniform central limit theory and asymptotic confidence sequences", tuned
// to the planned end. The variance is taken about the difference that is tested
// and not about the mean, which keeps it honest with few spans. The risk is
// divided among all that is compared (Bonferroni).
//
// # What it can't see
//
// Clients that stay with a release differ from each other. With few of them a
// difference between the two groups of clients looks like one between the
// releases, however long it lasts.
//
// Start reading at Judge.
package experiment
