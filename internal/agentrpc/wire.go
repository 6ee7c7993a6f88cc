package agentrpc

import (
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// HelloRequest begins a session.
type HelloRequest struct {
	Agent   string                  `json:"agent"` // its name, for people: "host-1"
	Place   towpath.PlaceName       `json:"place"`
	Session string                  `json:"session"` // minted by the agent at every start
	Kinds   []towpath.ComponentKind `json:"kinds"`   // what it can run
	Journal JournalSummary          `json:"journal"`
}

// JournalSummary is what an agent remembers from before it was started.
type JournalSummary struct {
	Fences     []TargetFence         `json:"fences,omitempty"`     // the last one of each target, by target
	Unfinished []UnfinishedOperation `json:"unfinished,omitempty"` // accepted, and not yet reported as finished
}

// TargetFence is the highest fence that an agent has seen on a target; it
// refuses lower ones.
type TargetFence struct {
	Target towpath.Target `json:"target"`
	Fence  int64          `json:"fence"`
}

// UnfinishedOperation is one that the agent goes on with, or whose end it has
// still to report.
type UnfinishedOperation struct {
	Operation towpath.OperationID `json:"operation"`
	Target    towpath.Target      `json:"target"`
	Fence     int64               `json:"fence"`
	Phase     JournalPhase        `json:"phase"`
}

// JournalPhase is how far an operation is in an agent's journal.
type JournalPhase string

// The phases of an operation in a journal, in order.
const (
	JournalAccepted JournalPhase = "accepted" // written down, nothing done
	JournalIntent   JournalPhase = "intent"   // its effect may have begun
	JournalEffect   JournalPhase = "effect"   // its effect is complete
	JournalDone     JournalPhase = "done"     // its result is written down
	JournalReported JournalPhase = "reported" // the server has its result
)

// HelloResponse is what an agent needs to know of its server.
type HelloResponse struct {
	// Epoch grows with every restore of the server's database.
	Epoch int64 `json:"epoch"`
	// ServerKey is the verifier key (golang.org/x/mod/sumdb/note) of the ledger,
	// which signs authorisations too. An agent pins the first one it sees.
	ServerKey string `json:"serverKey"`
	// HeartbeatEvery is how often to renew and observe, in nanoseconds.
	HeartbeatEvery time.Duration `json:"heartbeatEvery"`
	// SampleEvery is how often to sample metrics, in nanoseconds; 0: the server
	// has no use for them.
	SampleEvery time.Duration `json:"sampleEvery,omitempty"`
}

// ClaimRequest asks for work.
type ClaimRequest struct {
	Session string        `json:"session"`
	Max     int           `json:"max"`
	Wait    time.Duration `json:"wait"` // at most MaxWait, nanoseconds
}

// ClaimResponse is the work. It may be empty.
type ClaimResponse struct {
	Operations []towpath.Operation `json:"operations"`
}

// OperationFence names one claim of an operation.
type OperationFence struct {
	Operation towpath.OperationID `json:"operation"`
	Fence     int64               `json:"fence"`
}

// RenewRequest extends leases.
type RenewRequest struct {
	Session    string           `json:"session"`
	Operations []OperationFence `json:"operations"`
}

// RenewResponse has one result for each operation of the request.
type RenewResponse struct {
	Results []RenewResult `json:"results"`
}

// RenewResult is what became of one lease.
type RenewResult struct {
	Operation  towpath.OperationID `json:"operation"`
	Fence      int64               `json:"fence"`
	Status     RenewStatus         `json:"status"`
	LeaseUntil time.Time           `json:"leaseUntil,omitzero"` // of RenewOK
}

// RenewStatus is whether an agent may go on.
type RenewStatus string

// The answers to a renewal. After any but RenewOK the agent stops the work and
// reports nothing: the server has closed that claim.
const (
	RenewOK         RenewStatus = "ok"
	RenewCancelled  RenewStatus = "cancelled"  // withdrawn or pre-empted
	RenewSuperseded RenewStatus = "superseded" // claimed again with a higher fence, or unknown here
)

// ReportRequest is one sentence of progress.
type ReportRequest struct {
	Session   string              `json:"session"`
	Operation towpath.OperationID `json:"operation"`
	Fence     int64               `json:"fence"`
	Seq       int64               `json:"seq"` // grows within an operation; has gaps
	Message   string              `json:"message"`
	At        time.Time           `json:"at"` // by the agent's clock
}

// FinishRequest is the end of an operation.
type FinishRequest struct {
	Session   string                  `json:"session"`
	Operation towpath.OperationID     `json:"operation"`
	Fence     int64                   `json:"fence"`
	Seq       int64                   `json:"seq"` // higher than that of any report before it
	Result    towpath.OperationResult `json:"result"`
	At        time.Time               `json:"at"` // by the agent's clock
}

// FinishResponse says whether the result counts.
type FinishResponse struct {
	Status FinishStatus `json:"status"`
}

// FinishStatus is whether a result counts.
type FinishStatus string

// The answers to a finished operation. Either way the agent is done with it.
const (
	FinishAccepted FinishStatus = "accepted"
	FinishStale    FinishStatus = "stale" // its fence has been superseded: not applied
)

// ObserveRequest is what really runs in a place: all of it, each time.
type ObserveRequest struct {
	Session      string                `json:"session"`
	Place        towpath.PlaceName     `json:"place"`
	Observations []towpath.Observation `json:"observations"`
}

// CountRequest is what was counted of targets whose traffic several revisions
// share. The first one of a target may begin with what was counted Before.
type CountRequest struct {
	Session string                 `json:"session"`
	Counts  []towpath.TrafficCount `json:"counts"`
}

// SampleRequest is metrics of what runs in a place, as of now.
type SampleRequest struct {
	Session string              `json:"session"`
	Sets    []towpath.SampleSet `json:"sets"`
}

// MaxWait is the longest that a claim waits for work.
const MaxWait = 60 * time.Second
