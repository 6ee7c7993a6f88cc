// Package ocitest owns a conformance suite of the OCI distribution
// specification 1.1, written from its text section by section: whatever passes
// it may be called a registry. It knows no implementation; it speaks HTTP.
//
// Start reading at suite.go.
package ocitest
