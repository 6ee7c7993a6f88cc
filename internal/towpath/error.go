package towpath

import (
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an [Error]. The set is closed: the table of HTTP statuses
// and the table of exit codes each have a row for every kind, and a test fails
// when one is missing.
type Kind string

// The kinds of error. An error of unknown origin is KindInternal.
const (
	KindInvalid         Kind = "invalid"         // the input is wrong; trying again changes nothing
	KindUnauthenticated Kind = "unauthenticated" // no credential, or one that is not valid
	KindForbidden       Kind = "forbidden"       // the actor may not do this
	KindNotFound        Kind = "not-found"       // the subject does not exist
	KindConflict        Kind = "conflict"        // something immutable or newer stands in the way
	KindLocked          Kind = "locked"          // somebody else holds the lease or the fence
	KindDenied          Kind = "denied"          // a gate said no
	KindExhausted       Kind = "exhausted"       // a limit was reached
	KindUnavailable     Kind = "unavailable"     // a dependency does not answer; try again
	KindInternal        Kind = "internal"        // a bug or damage; the cause is in the log
)

// Kinds lists every kind, for tests of the tables keyed by it.
func Kinds() []Kind {
	return []Kind{
		KindInvalid, KindUnauthenticated, KindForbidden, KindNotFound, KindConflict,
		KindLocked, KindDenied, KindExhausted, KindUnavailable, KindInternal,
	}
}

// Error is the one error type of Towpath. Message and Hint are public: they
// are shown to users and must never carry a secret. Cause is for the log.
type Error struct {
	Kind    Kind
	Op      string // what was being done: "release.publish"
	Subject string // on what: an ID or a name; may be empty
	Message string // one sentence that says what is wrong
	Hint    string // what to do next; may be empty
	Cause   error  // logged, never shown
	// Fields are machine-readable facts about the error, for problem+json.
	Fields map[string]string
}

// Error renders kind, subject and message. The cause is included, so that
// logs have it; [PublicMessage] leaves it out.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(e.Message)
	if e.Subject != "" {
		fmt.Fprintf(&b, " (%s)", e.Subject)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// E makes an error of a kind with a public message built as by [fmt.Sprintf].
func E(kind Kind, op, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, Message: fmt.Sprintf(format, args...)}
}

// On names the subject of the error and returns it.
func (e *Error) On(subject string) *Error { e.Subject = subject; return e }

// WithHint says what to do next and returns the error.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithCause records the underlying error for the log and returns the error.
func (e *Error) WithCause(err error) *Error { e.Cause = err; return e }

// KindOf is the kind of the first [Error] in err's chain, KindInternal for any
// other error and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// PublicMessage is what a user may see of err: the message and the hint of the
// first [Error] in its chain, or a sentence that gives nothing away.
func PublicMessage(err error) (message, hint string) {
	var e *Error
	if errors.As(err, &e) {
		m := e.Message
		if e.Subject != "" {
			m += " (" + e.Subject + ")"
		}
		return m, e.Hint
	}
	return "internal error", "the server's log has the cause under this request's ID"
}
