package oci_test

import (
	"bytes"
	"testing"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

func TestCandidate_Attached(t *testing.T) {
	subject := oci.Blob{Digest: towpath.DigestOf([]byte("release")), Size: 7}
	for _, ref := range []string{"", "refs/heads/main"} {
		want := oci.CandidateRecord{Commit: "c0ffee", Ref: ref, Version: "1.4.0+g1a2b3c4", Provenance: []byte(` {"a": 1}`)}
		a, err := oci.AttachCandidate(subject, want)
		if err != nil {
			t.Fatal(err)
		}
		got, m, err := oci.ParseCandidate(a.Manifest)
		if err != nil || m.Subject != subject.Digest || m.ArtifactType != oci.ArtifactTypeCandidate {
			t.Fatalf("%+v, %v", m, err)
		}
		got.Provenance = a.Blobs[len(a.Blobs)-1]
		if last := m.Blobs[len(m.Blobs)-1]; last.Digest != towpath.DigestOf(want.Provenance) || !bytes.Equal(got.Provenance, want.Provenance) {
			t.Errorf("the provenance is %+v", last)
		}
		if got.Commit != want.Commit || got.Ref != want.Ref || got.Version != want.Version {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	t.Run("other evidence is no candidate", func(t *testing.T) {
		a, err := oci.AttachSBOM(subject, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := oci.ParseCandidate(a.Manifest); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nor is one without a version", func(t *testing.T) {
		a, err := oci.AttachCandidate(subject, oci.CandidateRecord{Commit: "c0ffee", Provenance: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := oci.ParseCandidate(a.Manifest); towpath.KindOf(err) != towpath.KindInvalid {
			t.Errorf("got %v", err)
		}
	})
}
