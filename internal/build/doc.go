// Package build owns the way from a commit to a release: it exports each
// component's part of the commit into a clean folder, runs its build there,
// packs what comes out, renders every component for every environment, and
// writes the provenance and the bill of materials beside it. The same tree gives
// the same release on any machine; what varies between builds is in the
// provenance only.
//
// It must not know git (see [Source]), the project file's syntax (see
// [Config.Parse]) nor any kind of component (see kind.Builder), and needs no
// credential.
//
// Start reading at build.go (the steps), then component.go (one component) and
// command.go (how a build command is run).
package build
