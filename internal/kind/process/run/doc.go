// Package run is the run half of the process kind: it runs a component's
// revisions as operating system processes on this machine and moves traffic
// between them. Each process stands under a shim, a small supervisor of its
// own that holds a lock for as long as the process lives; shims and router
// outlive the agent, and a new agent finds them by their folders.
//
// It knows folders, processes and routes; it knows nothing of the server, of
// journals or of why a revision is wanted.
//
// In its folder:
//
//	targets/<id>.json     what was prepared on a target, by revision
//	instances/<id>/       one process: spec.json (what to run), record.json
//	                      (what runs), exit.json (how it ended), lock, out.log
//
// Every step compares the folders with what is wanted and does what is
// missing, so running it again continues it. Start reading at runner.go, then
// prepare.go, switch.go, retire.go; instance.go and shim.go hold one process.
package run
