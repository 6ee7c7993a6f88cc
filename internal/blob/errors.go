package blob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/towpath/towpath/internal/towpath"
)

func notFound(op string, d towpath.Digest) *towpath.Error {
	return towpath.E(towpath.KindNotFound, op, "there is no blob %s", d).On(string(d))
}

// Lost says what to do about a blob that a record says is there: it may be that
// it is not there only because it was found damaged and put aside. Errors that are
// about anything else stay as they are.
func Lost(err error) error {
	var missing *towpath.Error
	if errors.As(err, &missing) && missing.Kind == towpath.KindNotFound && missing.Hint == "" {
		missing.Hint = "it is lost: it was damaged, or was deleted; " + heals
	}
	return err
}

// heals is what brings back what is damaged or lost.
const heals = "`towpath registry scrub` lists all that is, and with --repair-from RULE fetches it from a copy; publishing or pushing the same again heals it too"

// ErrLimit is in the chain of errors that say that a blob is over its limit;
// a full disk is another matter.
var ErrLimit = errors.New("over the limit")

func tooLarge(op string, limit int64) *towpath.Error {
	return towpath.E(towpath.KindExhausted, op, "the blob is larger than the limit of %d bytes", limit).
		WithHint("make it smaller, or raise the limit of blobs").WithCause(ErrLimit)
}

// ErrDamaged is in the chain of errors that say that what is stored is not what
// was put.
var ErrDamaged = errors.New("found while it was read")

// damaged is such an error; cause may be nil.
func damaged(op string, d towpath.Digest, cause error) *towpath.Error {
	return towpath.E(towpath.KindInternal, op, "blob %s is damaged: its content does not have its digest", d).
		On(string(d)).WithCause(errors.Join(ErrDamaged, cause)).
		WithHint("check the disk; %s", heals)
}

// readError keeps errors that say what is wrong and explains the others.
func readError(op string, d towpath.Digest, err error) error {
	var known *towpath.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return damaged(op, d, err)
	}
	return towpath.E(towpath.KindUnavailable, op, "blob %s can't be read", d).
		On(string(d)).WithHint("check the disk, then try again").WithCause(err)
}

// diskError explains a failed operation on the store's directory.
func diskError(op, what string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return towpath.E(towpath.KindExhausted, op, "%s: the disk of the blob store is full", what).
			WithHint("make room on the disk, then try again; nothing was acknowledged and nothing is broken").WithCause(err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return towpath.E(towpath.KindUnavailable, op, "%s: the blob store can't be written", what).
			WithHint("let the user that runs towpath write to the store's directory").WithCause(err)
	}
	return towpath.E(towpath.KindUnavailable, op, "%s: the disk of the blob store does not work", what).
		WithHint("check the disk, then try again; nothing was acknowledged and nothing is broken").WithCause(err)
}
