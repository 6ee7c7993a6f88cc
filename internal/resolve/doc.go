// Package resolve finds out what references from outside stand for now: it
// asks registries of images, repositories of charts, registries of modules and
// git repositories. Only `towpath lock` does that; a build reads towpath.lock
// and asks nobody. It decides nothing: which reference is asked for, and what
// becomes of the answer, is package pin's.
//
// What it is told is untrusted: answers are bounded, and a digest that somebody
// gives for bytes is compared with the bytes where they are fetched.
//
// Start reading at resolver.go.
package resolve
