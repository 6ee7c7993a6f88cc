// Package place lets the layers of releases live in another registry: it reads
// there what the store does not have, lets go of layers here that were compared
// there, and brings all of them back when that is to end. That they get there
// and are compared is the work of package replication.
//
// It must not know what a layer holds, and never lets go of manifests, records
// or what is about a release: without its place a server still judges
// everything.
//
// Start reading at service.go, then read.go, letgo.go and back.go.
package place
