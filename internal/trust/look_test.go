package trust

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// TestLook_WhatCannotBeRead: who may push can attach what proves nothing, and that
// is told; what is lost is an error, for nobody knows what it would have proved.
func TestLook_WhatCannotBeRead(t *testing.T) {
	store, err := blob.NewDisk(blob.DiskConfig{Dir: t.TempDir()})
	check(t, err)
	put := func(b []byte) {
		t.Helper()
		_, _, err := store.Put(t.Context(), towpath.DigestOf(b), bytes.NewReader(b), int64(len(b)))
		check(t, err)
	}
	key, err := signing.Generate()
	check(t, err)
	pem, err := signing.EncodePublic(key.Public())
	check(t, err)
	trusted := towpath.TrustedKey{Name: "builder", ID: string(key.ID()), PublicKey: string(pem), Types: []towpath.EvidenceType{towpath.EvidenceSignature}}
	j, err := newJudge([]towpath.TrustedKey{trusted})
	check(t, err)
	release := towpath.DigestOf([]byte("a release"))
	statement, err := evidence.MakeSignature(release)
	check(t, err)
	signed, err := signing.Sign(t.Context(), key, statement)
	check(t, err)
	huge := make([]byte, signing.MaxBundle+1)

	for _, tt := range []struct {
		name     string
		bundle   []byte
		kept     bool
		from, to string // in the manifest
		refused  string // empty: it is verified
		kind     towpath.Kind
	}{
		{name: "a signature is verified", bundle: signed, kept: true},
		{
			name: "a layer that need not be there proves nothing", bundle: []byte("never sent"),
			from: `"mediaType":"` + oci.MediaTypeBundle, to: `"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar`, refused: "which no registry has to have",
		},
		{
			name: "nor one of Docker", bundle: signed, kept: true,
			from: `"mediaType":"` + oci.MediaTypeBundle, to: `"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip`, refused: "which no registry has to have",
		},
		{name: "a bundle that is too large proves nothing", bundle: huge, kept: true, refused: "at most 16777216 are read"},
		{name: "also when its manifest says less", bundle: huge, kept: true, from: `"size":16777217`, to: `"size":10`, refused: "larger than the limit"},
		{name: "a bundle that is lost is an error", bundle: []byte("lost"), kind: towpath.KindNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := oci.AttachBundle(oci.Blob{Digest: release, Size: 9}, evidence.TypeSignature, tt.bundle, time.Unix(0, 0))
			check(t, err)
			manifest := bytes.Replace(a.Manifest, []byte(tt.from), []byte(tt.to), 1)
			if tt.from != "" && bytes.Equal(manifest, a.Manifest) {
				t.Fatalf("nothing was changed in %s", manifest)
			}
			put(manifest)
			if tt.kept {
				put(tt.bundle)
			}
			s := New(Config{}, nil, store, nil)
			for range 2 { // also when it was looked at before
				l, err := s.look("shop", release, nil)
				check(t, err)
				x, err := l.verify(t.Context(), j, towpath.Artifact{Digest: towpath.DigestOf(manifest), Pushed: time.Unix(1, 0)})
				if towpath.KindOf(err) != tt.kind {
					t.Fatalf("got %v", err)
				}
				if x.Verified() != (tt.refused == "" && tt.kind == "") || !strings.Contains(x.Refused, tt.refused) || tt.refused != "" && x.Rule != "malformed" {
					t.Errorf("got %+v", x)
				}
			}
		})
	}
}

// TestFound_Weight: what is remembered weighs as much as it holds.
func TestFound_Weight(t *testing.T) {
	text := strings.Repeat("x", 100)
	scan := &towpath.ScanFacts{Tool: text}
	vex := &towpath.VEXFacts{}
	for range 500 {
		scan.Findings = append(scan.Findings, towpath.ScanFinding{ID: text, In: text, PURL: text, Ref: text})
		vex.Statements = append(vex.Statements, towpath.VEXStatement{ID: text, Justification: text, PURL: text, Ref: text, In: text})
	}
	for _, tt := range []struct {
		name string
		said towpath.Attestation
		want int
	}{
		{"what says nothing weighs one", towpath.Attestation{Refused: text}, 1},
		{"and a bill's three fields", towpath.Attestation{SBOM: &towpath.SBOMFacts{Format: text}}, 1},
		{"a provenance by its texts", towpath.Attestation{Provenance: &towpath.ProvenanceFacts{
			Builder: strings.Repeat("x", 1<<20), Repository: strings.Repeat("x", 1<<20), Ref: strings.Repeat("x", 1<<20), Commit: towpath.CommitID(strings.Repeat("x", 1<<20)),
		}}, 1 + 4<<10},
		{"a scan by its findings", towpath.Attestation{Scan: scan}, 1 + (100+500*(100+4*100))>>10},
		{"what has no text too", towpath.Attestation{Scan: &towpath.ScanFacts{Findings: make([]towpath.ScanFinding, 500)}}, 1 + 500*100>>10},
		{"a VEX document by its statements", towpath.Attestation{VEX: vex}, 1 + 500*(100+5*100)>>10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (found{said: tt.said}).weight(); got != tt.want {
				t.Errorf("it weighs %d, not %d", got, tt.want)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
