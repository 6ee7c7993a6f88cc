package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// The types of what statements say.
const (
	TypeSignature  = "https://sigstore.dev/cosign/sign/v1"
	TypeProvenance = "https://slsa.dev/provenance/v1"
	TypeSBOM       = "https://cyclonedx.org/bom"
	TypePromotion  = "https://towpath.dev/attestation/promotion/v1"
)

// typeBefore is the version before, of the same shape: `cosign attest-blob`
// writes it to this day.
const typeBefore = "https://in-toto.io/Statement/v0.1"

// Bounds of a statement: what it may be about, and how long its type is, which
// those who read it keep.
const (
	maxSubjects = 1024
	maxType     = 1024 // bytes
)

// Statement is an in-toto statement, read: https://in-toto.io/Statement/v1.
type Statement struct {
	Subjects  []Subject
	Type      string          // of the predicate
	Predicate json.RawMessage // a JSON object
}

// Subject is one thing that a statement is about.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"` // lower-case hex by algorithm
}

// About reports whether the statement is about a digest.
func (s *Statement) About(d towpath.Digest) bool {
	for _, subject := range s.Subjects {
		if d.Valid() && subject.Digest["sha256"] == d.Hex() {
			return true
		}
	}
	return false
}

// Make writes a statement: what is said (predicate, whose JSON is an object)
// about a thing. The name is for people; the digest is what counts.
func Make(name string, subject towpath.Digest, predicateType string, predicate any) ([]byte, error) {
	const op = "evidence.make"
	said, err := asStruct(predicate)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "what is to be said is not a JSON object").On(predicateType).WithCause(err)
	}
	if !subject.Valid() {
		return nil, towpath.E(towpath.KindInternal, op, "%q is no digest to say something about", subject).On(predicateType)
	}
	statement := &intoto.Statement{
		Type:          intoto.StatementTypeUri,
		Subject:       []*intoto.ResourceDescriptor{{Name: name, Digest: map[string]string{"sha256": subject.Hex()}}},
		PredicateType: predicateType,
		Predicate:     said,
	}
	if err := statement.Validate(); err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "the statement is not a valid one").On(predicateType).WithCause(err)
	}
	b, err := protojson.Marshal(statement)
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "the statement can't be written").On(predicateType).WithCause(err)
	}
	// protojson varies its white space on purpose.
	return oci.Canonical(json.RawMessage(b))
}

func asStruct(v any) (*structpb.Struct, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, protojson.Unmarshal(b, s)
}

// MakeSignature is the statement that the real cosign makes of a signature: the
// digest, and nothing about it.
func MakeSignature(release towpath.Digest) ([]byte, error) {
	return Make("", release, TypeSignature, struct{}{})
}

// Parse reads a statement as strictly as two readers could ever differ: a name
// that comes twice, or in other letters' case, is refused, because one reader
// would take the first and another the last.
func Parse(b []byte) (*Statement, error) {
	const op = "evidence.parse"
	wrong := func(format string, args ...any) *towpath.Error {
		return towpath.E(towpath.KindInvalid, op, "the statement is not a valid in-toto statement: "+format, args...)
	}
	fields, err := object(b)
	if err != nil {
		return nil, wrong("%v", err).WithCause(err)
	}
	var kind string
	s := &Statement{Predicate: fields["predicate"]}
	var subjects []json.RawMessage
	for name, into := range map[string]any{"_type": &kind, "predicateType": &s.Type, "subject": &subjects} {
		if err := json.Unmarshal(orNull(fields[name]), into); err != nil {
			return nil, wrong("%s is of another type", name).WithCause(err)
		}
	}
	switch {
	case kind != intoto.StatementTypeUri && kind != typeBefore:
		return nil, wrong("its type is %q, not %s", short(kind), intoto.StatementTypeUri)
	case s.Type == "":
		return nil, wrong("it has no predicateType")
	case len(s.Type) > maxType:
		return nil, wrong("its predicateType has %d bytes; at most %d are read", len(s.Type), maxType)
	case len(subjects) == 0 || len(subjects) > maxSubjects:
		return nil, wrong("it has %d subjects; 1 to %d are accepted", len(subjects), maxSubjects)
	}
	if _, err := object(s.Predicate); err != nil {
		return nil, wrong("predicate: %v", err).WithCause(err)
	}
	for i, raw := range subjects {
		subject, err := parseSubject(raw)
		if err != nil {
			return nil, wrong("subject %d: %v", i+1, err).WithCause(err)
		}
		s.Subjects = append(s.Subjects, subject)
	}
	return s, nil
}

func parseSubject(raw json.RawMessage) (Subject, error) {
	fields, err := object(raw)
	if err != nil {
		return Subject{}, err
	}
	var s Subject
	if err := json.Unmarshal(orNull(fields["name"]), &s.Name); err != nil {
		return Subject{}, errors.New("its name is no text")
	}
	digests, err := object(fields["digest"])
	if err != nil {
		return Subject{}, err
	}
	if len(digests) == 0 {
		return Subject{}, errors.New("it has no digest")
	}
	s.Digest = map[string]string{}
	for algorithm, raw := range digests {
		var sum string
		if err := json.Unmarshal(raw, &sum); err != nil || sum == "" {
			return Subject{}, errors.New("its digest is no text")
		}
		s.Digest[algorithm] = sum
	}
	return s, nil
}

// object reads the members of one JSON object.
func object(b []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	fields, folded := map[string]json.RawMessage{}, map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err == nil && ok {
			err = dec.Decode(&value)
		}
		if err != nil || !ok {
			return nil, errors.New("it is no well-formed JSON")
		}
		key := oci.FoldName(name)
		if folded[key] {
			return nil, errors.New("the name " + short(name) + " comes twice")
		}
		fields[name], folded[key] = value, true
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("it is no well-formed JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something comes after its end")
	}
	return fields, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// ReadInto reads what a statement says of its release into what is known of the
// statement, by its type: whoever judges it, a server or an agent, reads the same.
// Other types say nothing that is judged.
func ReadInto(x *towpath.Attestation, predicate json.RawMessage) (err error) {
	switch x.Type {
	case towpath.EvidenceProvenance:
		x.Provenance, err = ReadProvenance(predicate)
	case towpath.EvidenceScan:
		if isVEX(predicate) {
			x.VEX, err = ReadVEX(predicate)
		} else {
			x.Scan, err = ReadScan(predicate)
		}
	case towpath.EvidenceSBOM:
		x.SBOM, err = ReadSBOM(predicate)
	}
	return err
}

// short is text from outside, for a message.
func short(text string) string {
	const most = 100
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// identity is text from outside that is compared: two that differ go on doing so
// when they are too long to be kept.
func identity(text string) string {
	const most, kept = 100, 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:kept], "") + "…" + towpath.DigestOf([]byte(text)).Hex()[:12]
}
