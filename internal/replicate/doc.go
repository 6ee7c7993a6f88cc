// Package replicate moves an artifact with everything that is about it, and
// about that, from one place to another: a server of ours, an OCI image layout,
// any OCI 1.1 registry. It walks the graph at the source, writes what the
// destination lacks (blobs before the manifests that name them, what is about
// something after it, names last), then lists the destination again and compares.
// It must not know what an artifact means nor who may move it.
//
// Everything read here comes from outside: no byte is handed on before its
// digest and size were compared, and every list has a limit.
//
// Start reading at place.go and graph.go, then copy.go and verify.go; layout.go
// and remote.go are the places.
package replicate
