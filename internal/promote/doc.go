// Package promote moves candidates upstream: it takes requests for promotions,
// gathers the evidence for the gates, records their verdicts and what people
// decide, and hands what may pass to a deployment. It also promotes by itself
// where an environment says so, and projects environments into git. It must
// not know how a deployment is carried out. Start reading at
// Promotions.Reconcile; gates.go gathers what package gate judges.
package promote
