// Package promql answers queries in PromQL about what runs: by the engine that
// is embedded in the server, over samples that agents push, or by anything that
// speaks the HTTP API of Prometheus. It knows nothing of objectives.
//
// A source that can't be asked is an error, of kind unavailable; a query that it
// refuses is one of kind invalid, and an answer that is too long one of kind
// exhausted. No data is none of these: it is an empty answer.
//
// Start reading at Source, then http.go.
package promql
