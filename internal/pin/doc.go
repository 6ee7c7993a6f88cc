// Package pin owns what a project takes from outside and what that stands for:
// references to images, charts and modules, where a project's files have them,
// the lock file that pins them, and the judgement of whether a release may be
// made with them. It does no I/O: files are handed to it, and what a reference
// stands for now is a [Resolver]'s to say, when somebody asks for it. A build
// asks nobody.
//
// Files and the lock file are untrusted: their size, depth and the growth of
// aliases are bounded.
//
// Start reading at external.go, then lock.go, judge.go and update.go; scan.go
// finds references in the files of components.
package pin
