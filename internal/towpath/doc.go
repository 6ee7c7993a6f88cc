// Package towpath owns the nouns of the system, their identifiers, the tables
// of their phases and the one error type. It imports nothing of ours and does
// no I/O: every other package speaks in its words.
//
// Start reading at release.go (what is promoted), promotion.go (the request),
// deployment.go (the desired state it writes) and error.go.
package towpath
