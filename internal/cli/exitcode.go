package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Exit codes, as every command's help lists them.
const (
	ExitOK          = 0
	ExitError       = 1
	ExitChanges     = 2
	ExitDenied      = 3
	ExitNotAllowed  = 4
	ExitWaiting     = 5
	ExitRolledBack  = 6
	ExitTimeout     = 124
	ExitInterrupted = 130
)

type exitRow struct {
	code    int
	meaning string
}

func exitRows() []exitRow {
	return []exitRow{
		{ExitOK, "ok"},
		{ExitError, "error"},
		{ExitChanges, "changes or drift (with --exit-code; of lock, with --check)"},
		{ExitDenied, "a gate said no"},
		{ExitNotAllowed, "not allowed"},
		{ExitWaiting, "waiting: for approval, for another gate, or for a person to resume a rollout"},
		{ExitRolledBack, "rolled back"},
		{ExitTimeout, "timeout"},
		{ExitInterrupted, "interrupted"},
	}
}

// exitHelp is the list of exit codes for help texts.
func exitHelp() string {
	var b strings.Builder
	for _, r := range exitRows() {
		fmt.Fprintf(&b, "  %3d  %s\n", r.code, r.meaning)
	}
	return b.String()
}

// exitCodes has a row for every kind of error.
func exitCodes() map[towpath.Kind]int {
	return map[towpath.Kind]int{
		towpath.KindInvalid:         ExitError,
		towpath.KindUnauthenticated: ExitNotAllowed,
		towpath.KindForbidden:       ExitNotAllowed,
		towpath.KindNotFound:        ExitError,
		towpath.KindConflict:        ExitError,
		towpath.KindLocked:          ExitError,
		towpath.KindDenied:          ExitDenied,
		towpath.KindExhausted:       ExitError,
		towpath.KindUnavailable:     ExitError,
		towpath.KindInternal:        ExitError,
	}
}

// outcome is an exit code that is no error: the command has said everything.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("exit %d", int(o)) }

// exitCode is that of a command's error. ctx is the command's: an interrupted
// or timed out command may return whatever it was doing.
func exitCode(ctx context.Context, err error) int {
	var o outcome
	var known *towpath.Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &o):
		return int(o)
	case errors.Is(err, context.DeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ExitTimeout
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return ExitInterrupted
	case errors.As(err, &known):
		if code, ok := exitCodes()[known.Kind]; ok {
			return code
		}
	}
	return ExitError
}
