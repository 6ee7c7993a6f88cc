// Package project makes the projects that tests carry through Towpath: real git
// repositories whose components answer real HTTP. It owns their files; it must
// not know any package of ours but gittest.
//
// Start reading at [Sample] (no toolchain runs: for most tests) and [Shop]
// (built from source by the real Go).
package project
