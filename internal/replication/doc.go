// Package replication keeps copies of releases in other registries: by rules
// of a project it copies each release with everything that is attached to it,
// again when something is attached, and says how far behind a place is. How
// things are copied is package replicate's business.
//
// Start reading at service.go, then reconcile.go.
package replication
