package api

import "github.com/towpath/towpath/internal/towpath"

// ProblemType is the media type of a [Problem].
const ProblemType = "application/problem+json"

// Problem is an error as in RFC 9457.
type Problem struct {
	Type      string            `json:"type" doc:"urn:towpath:error: and the kind"`
	Title     string            `json:"title" doc:"what errors of this kind have in common"`
	Status    int               `json:"status" doc:"HTTP status"`
	Detail    string            `json:"detail" doc:"what is wrong"`
	Hint      string            `json:"hint,omitempty" doc:"what to do next"`
	Kind      towpath.Kind      `json:"kind" doc:"what a program should decide by"`
	RequestID string            `json:"requestId,omitempty" doc:"finds this request in the server's log"`
	Fields    map[string]string `json:"fields,omitempty" doc:"facts about this error"`
}

// Error is the detail: a problem can be returned as an error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problems.
func (p *Problem) ContentType(string) string { return ProblemType }

// FieldRequestID is the key of [towpath.Error.Fields] under which a client
// keeps the request's ID.
const FieldRequestID = "requestId"

// FieldSubject is the key of a problem's fields that names what it is about, by
// its ID.
const FieldSubject = "subject"

// FieldIdempotency is the key of a problem's fields that says what stood in
// the way of an idempotency key: [InFlight], [OtherRequest], [AnswerLost] or [SecretGone].
const FieldIdempotency = "idempotency"

// What can stand in the way of an idempotency key.
const (
	InFlight     = "in-flight"     // the first request with the key has not been answered yet
	OtherRequest = "other-request" // the key was used for another request
	AnswerLost   = "answer-lost"   // the change was made, and its answer was lost
	SecretGone   = "secret-gone"   // the answer held a secret, which is not kept
)
