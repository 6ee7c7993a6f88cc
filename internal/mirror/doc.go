// Package mirror brings what releases pin in registries outside, images and
// charts by digest, into our own registry, with everything that is about them:
// what is promoted must not need a registry of somebody else. It knows what each
// release needs, says how far each copy is, and has the sources that a project
// may be mirrored from. How things are copied is package replicate's business,
// and when they are given up again that of package registry.
//
// Start reading at service.go, then reconcile.go.
package mirror
