package router

import (
	"net/http"
	"strings"
)

// grpcFailed reports whether a call of gRPC failed for want of the server's, by
// its own status: the HTTP status of a call that failed is 200 all the same. The
// server's are those that the semantic conventions of OpenTelemetry hold against
// a server. What has none, where it has to be known by now, is what clients make
// of it: UNKNOWN. (gRPC over HTTP/2, "Responses"; gRPC-Web has its status in the
// body, and is judged by its HTTP status.)
func grpcFailed(header, trailer http.Header) bool {
	if !isGRPC(header) {
		return false
	}
	status := header.Get("Grpc-Status") // of an answer without a body
	if status == "" {
		status = trailer.Get("Grpc-Status")
	}
	if status == "" { // a trailer that was not announced
		status = trailer.Get(http.TrailerPrefix + "Grpc-Status")
	}
	switch status {
	case "", "2", "4", "12", "13", "14", "15": // unknown, deadline exceeded, unimplemented, internal, unavailable, data loss
		return true
	}
	return false
}

// isGRPC reports whether an answer is one of gRPC.
func isGRPC(header http.Header) bool {
	rest, ok := strings.CutPrefix(header.Get("Content-Type"), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}
