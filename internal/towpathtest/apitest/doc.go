// Package apitest owns a server of the real API with its real client's view,
// over use cases that keep everything in memory: for tests of the API, its
// client and the command line together, over a real loopback connection. It
// decides nothing that a use case decides; tests set what it shall answer.
//
// Start reading at server.go, then world.go.
package apitest
