package oci

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/towpath/towpath/internal/towpath"
)

// Canonical is the one JSON form of a value: keys sorted, no white space, no
// HTML escapes, numbers as [encoding/json] writes them.
func Canonical(v any) ([]byte, error) {
	const op = "oci.canonical"
	b, err := json.Marshal(v)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "a value has no JSON form").WithCause(err)
	}
	// Once more through maps, whose keys are sorted: also those of raw JSON.
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "a value has no JSON form").WithCause(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(plain); err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "a value has no JSON form").WithCause(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// decodeStrict reads canonical JSON with no unknown field into v. Any other
// form of the same value would have another digest, so it is refused.
func decodeStrict(op, what string, b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return towpath.E(towpath.KindInvalid, op, "the %s can't be read: %v", what, err).
			WithHint("it was tampered with, or a newer Towpath made it: use that version").WithCause(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return towpath.E(towpath.KindInvalid, op, "the %s has something after its end", what)
	}
	again, err := Canonical(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return towpath.E(towpath.KindInvalid, op, "the %s is not in canonical form", what).
			WithHint("publish the exact bytes that `towpath release build` made")
	}
	return nil
}
