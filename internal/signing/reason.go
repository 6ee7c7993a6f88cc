package signing

import (
	"errors"

	"github.com/towpath/towpath/internal/towpath"
)

// Reason is which rule a bundle broke. The set is closed.
type Reason string

// The reasons to refuse a bundle.
const (
	ReasonTooLarge    Reason = "too-large"       // more bytes than are accepted
	ReasonMalformed   Reason = "malformed"       // no bundle of the one version that is accepted
	ReasonCertificate Reason = "certificate"     // it is none that says who signs, or not of the authority
	ReasonContent     Reason = "content"         // no statement, or (of a blob's signature) one
	ReasonPayloadType Reason = "payload-type"    // the envelope holds no in-toto statement
	ReasonSignatures  Reason = "signature-count" // not exactly one signature
	ReasonUnknownKey  Reason = "unknown-key"     // signed with a key that is not trusted
	ReasonRevoked     Reason = "revoked-key"
	ReasonNotYetValid Reason = "key-not-yet-valid"
	ReasonExpired     Reason = "key-expired"
	ReasonNotAllowed  Reason = "type-not-allowed" // the key may not sign such a predicate
	ReasonSignature   Reason = "bad-signature"    // it is not one of the key over the content
	ReasonStatement   Reason = "bad-statement"    // what the envelope holds is no valid statement
	ReasonPredicate   Reason = "predicate-type"   // it says something else than asked for
	ReasonSubject     Reason = "subject"          // it is about something else
)

// Reasons lists every reason, for tests.
func Reasons() []Reason {
	return []Reason{
		ReasonTooLarge, ReasonMalformed, ReasonCertificate, ReasonContent, ReasonPayloadType, ReasonSignatures, ReasonUnknownKey,
		ReasonRevoked, ReasonNotYetValid, ReasonExpired, ReasonNotAllowed, ReasonSignature, ReasonStatement, ReasonPredicate, ReasonSubject,
	}
}

// FieldReason is the field of a verification's error that has the [Reason].
const FieldReason = "reason"

// ReasonOf is why verification refused a bundle; empty for other errors.
func ReasonOf(err error) Reason {
	var e *towpath.Error
	if errors.As(err, &e) {
		return Reason(e.Fields[FieldReason])
	}
	return ""
}

// refuse says that a bundle proves nothing. It is a denial, not a failure:
// trying again changes nothing, and nothing may pass for it.
func refuse(r Reason, format string, args ...any) *towpath.Error {
	e := towpath.E(towpath.KindDenied, "signing.verify", format, args...)
	e.Fields = map[string]string{FieldReason: string(r)}
	return e
}
