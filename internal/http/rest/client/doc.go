// Package client owns the Go client of the REST API: typed calls, retries that
// repeat a change under its idempotency key, and watches that resume where
// they were. The CLI speaks to a server through nothing else.
//
// It must not know what is behind the API, nor where its user keeps the token.
// Errors are [*towpath.Error] with the server's kind, message and hint, and
// the request's ID in Fields; they never hold the token.
//
// Start reading at client.go, then call.go.
package client
