// Package evidence owns what is said about a release: in-toto statements (a
// signature, the provenance, the bill of materials, how a promotion ended) and
// the CycloneDX bill of materials itself. Everything is made as canonical bytes:
// the same facts give the same statement on any machine.
//
// It must not know who signs a statement (see package signing), how it travels
// (see package oci) nor what a gate makes of it.
//
// Start reading at statement.go, then sbom.go.
package evidence
