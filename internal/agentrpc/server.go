package agentrpc

import (
	"context"
	"io"

	"github.com/towpath/towpath/internal/towpath"
)

// Server is the server's side of the protocol. It authorises the actor of each
// call. Every call may be repeated: the client retries what it got no answer
// to.
type Server interface {
	// Hello begins a session of an agent. Fences in the journal that are higher
	// than the server's (a restored database) must raise the server's.
	Hello(ctx context.Context, actor towpath.Actor, req HelloRequest) (HelloResponse, error)
	// Claim leases up to req.Max pending operations of the session's place to
	// it, each with a fence higher than any before it on its target. With
	// nothing to do it waits up to req.Wait, then answers with none.
	Claim(ctx context.Context, actor towpath.Actor, req ClaimRequest) ([]towpath.Operation, error)
	// Renew extends leases. The answer has one result for each operation asked
	// for. A lease moves to the asking session when operation and fence match:
	// a restarted agent goes on with what its journal holds.
	Renew(ctx context.Context, actor towpath.Actor, req RenewRequest) (RenewResponse, error)
	// Report takes progress, of which the last that was said is shown. A stale fence
	// is no error, and changes nothing.
	Report(ctx context.Context, actor towpath.Actor, req ReportRequest) error
	// Finish ends an operation. Repeating an accepted one is accepted again. A
	// fence that has been superseded is answered with FinishStale, and never applied.
	Finish(ctx context.Context, actor towpath.Actor, req FinishRequest) (FinishResponse, error)
	// Observe takes what really runs in the agent's place.
	Observe(ctx context.Context, actor towpath.Actor, req ObserveRequest) error
	// Count takes what was counted of targets whose traffic is shared. Counters
	// grow, so that a call that is lost or repeated changes nothing.
	Count(ctx context.Context, actor towpath.Actor, req CountRequest) error
	// Sample takes metrics of what runs in the agent's place, and takes them as
	// of now. What is lost is not sent again.
	Sample(ctx context.Context, actor towpath.Actor, req SampleRequest) error
	// OpenBlob opens a blob that an operation which the agent may work on needs, or
	// what runs there, and gives its size in bytes. The caller closes it.
	OpenBlob(ctx context.Context, actor towpath.Actor, digest towpath.Digest) (io.ReadCloser, int64, error)
}
