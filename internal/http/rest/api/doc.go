// Package api owns the request and answer bodies of the REST API that are no
// noun of their own: what a client sends and what the server, not a use case,
// answers. It must not know how either side works.
//
// Start reading at requests.go, then problem.go.
package api

// Base is the path under which all of the API stands.
const Base = "/api/v1"

// Headers of the API.
const (
	HeaderRequestID      = "X-Request-Id"
	HeaderIdempotencyKey = "Idempotency-Key"
	// HeaderReplayed is "true" on an answer that was stored for an earlier
	// request with the same idempotency key.
	HeaderReplayed = "Idempotency-Replayed"
)
