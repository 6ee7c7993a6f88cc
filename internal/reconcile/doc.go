// Package reconcile owns every goroutine and timer that keeps the system
// moving: a [Runner] works off a durable queue with named reconcilers, a [Loop]
// repeats one pass, a [Supervisor] keeps several of them running.
//
// It knows no noun, no database and no decision: what a key means is the
// reconciler's business, where keys are kept the [Queue]'s.
//
// Start reading at runner.go.
package reconcile
