package oci

import (
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/towpath"
)

// ArtifactTypeCandidate is the type of the manifest that carries what a release
// was published with, wherever the release goes without our database.
const ArtifactTypeCandidate = "application/vnd.towpath.candidate.v1"

const annotationRef = "org.towpath.ref"

// CandidateRecord is what a release was published with, less who did it when.
type CandidateRecord struct {
	Commit     towpath.CommitID
	Ref        string // may be empty
	Version    string
	Provenance []byte // in-toto statement, in its exact bytes
}

// AttachCandidate makes the manifest that attaches the record of a candidate to
// its release. The same candidate gives the same digest everywhere.
func AttachCandidate(subject Blob, c CandidateRecord) (Attachment, error) {
	annotations := map[string]string{v1.AnnotationRevision: string(c.Commit), v1.AnnotationVersion: c.Version}
	if c.Ref != "" {
		annotations[annotationRef] = c.Ref
	}
	return attachAs(subject, ArtifactTypeCandidate, towpath.MediaTypeProvenance, c.Provenance, annotations)
}

// ParseCandidate reads a manifest of the form that [AttachCandidate] makes. The
// record has no provenance yet: that is the last of the blobs.
func ParseCandidate(b []byte) (CandidateRecord, *Attached, error) {
	const op = "oci.parse-candidate"
	// It is ours alone, and so has one form, unlike what others attach.
	if err := decodeStrict(op, "record of a candidate", b, &v1.Manifest{}); err != nil {
		return CandidateRecord{}, nil, err
	}
	m, err := ParseAttachment(b)
	if err != nil {
		return CandidateRecord{}, nil, err
	}
	c := CandidateRecord{
		Commit: towpath.CommitID(m.Annotations[v1.AnnotationRevision]), Ref: m.Annotations[annotationRef], Version: m.Annotations[v1.AnnotationVersion],
	}
	if m.ArtifactType != ArtifactTypeCandidate || len(m.Content()) != 1 || c.Commit == "" || c.Version == "" {
		return CandidateRecord{}, nil, towpath.E(towpath.KindInvalid, op, "the manifest is no record of a candidate").
			On(string(towpath.DigestOf(b))).WithHint("`towpath release export` writes one")
	}
	return c, m, nil
}
