package registry

import (
	"errors"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// Code is what the OCI distribution specification calls an error.
type Code string

// The codes of the specification that this package gives.
const (
	BlobUnknown         Code = "BLOB_UNKNOWN"
	BlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	BlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	DigestInvalid       Code = "DIGEST_INVALID"
	ManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	ManifestInvalid     Code = "MANIFEST_INVALID"
	ManifestUnknown     Code = "MANIFEST_UNKNOWN"
	NameInvalid         Code = "NAME_INVALID"
	NameUnknown         Code = "NAME_UNKNOWN"
	SizeInvalid         Code = "SIZE_INVALID"
	TooLarge            Code = "TOO_LARGE"    // SIZE_INVALID of what is over a limit
	OutOfOrder          Code = "OUT_OF_ORDER" // BLOB_UPLOAD_INVALID of a piece that is not the next one
	Denied              Code = "DENIED"
	Unsupported         Code = "UNSUPPORTED"
	TooManyRequests     Code = "TOOMANYREQUESTS"
	// Harmed is a code of ours: what is stored is damaged, and nobody gets it.
	Harmed Code = "DAMAGED"
)

// kinds are the kinds of the codes.
func (c Code) kind() towpath.Kind {
	switch c {
	case BlobUnknown, BlobUploadUnknown, ManifestBlobUnknown, ManifestUnknown, NameUnknown:
		return towpath.KindNotFound
	case Harmed:
		return towpath.KindInternal
	case TooLarge, TooManyRequests:
		return towpath.KindExhausted
	case Denied, OutOfOrder:
		return towpath.KindConflict
	default:
		return towpath.KindInvalid
	}
}

const codeField = "code"

// fail makes an error with a code.
func fail(c Code, op, format string, args ...any) *towpath.Error {
	e := towpath.E(c.kind(), op, format, args...)
	e.Fields = map[string]string{codeField: string(c)}
	return e
}

// CodeOf is the code of an error; empty for one that has none.
func CodeOf(err error) Code {
	if errors.Is(err, blob.ErrDamaged) {
		return Harmed
	}
	var e *towpath.Error
	if errors.As(err, &e) {
		return Code(e.Fields[codeField])
	}
	return ""
}

// as gives an error of a kind a code and a better message.
func as(err error, kind towpath.Kind, c Code, op, format string, args ...any) error {
	if towpath.KindOf(err) != kind || CodeOf(err) != "" {
		return err
	}
	return fail(c, op, format, args...).WithCause(err)
}
