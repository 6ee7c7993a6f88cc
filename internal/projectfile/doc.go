// Package projectfile owns the format of towpath.yaml, version 1: its parser,
// its JSON Schema and the file that `towpath init` writes. It turns bytes into
// a [towpath.ProjectSpec] or into every problem at once, each with its line,
// its column, its path in the file and a hint. It does no I/O and does not
// know what a component's kind means by its section: that is the kind's build
// half's to check.
//
// A file is untrusted: its size, depth and the growth of its aliases are
// bounded before anything recurses over it.
//
// Start reading at parse.go, then project.go, component.go and environment.go,
// which follow the file from top to bottom; yaml.go makes the tree they read.
package projectfile
