package trust

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	// maxLook is how many bytes one look reads: whoever may push must not keep a
	// worker, of which all projects have a few, for longer than seconds.
	maxLook = 512 << 20
	// maxRemembered has room for a flood of as many statements as are looked at: its
	// manifests and bundles, each of which weighs one. What was verified weighs one more
	// for each bytesOfWeight of its facts, which is more than the rest of it has.
	maxRemembered = 2 * maxStatements
	bytesOfWeight = 1 << 10
	bytesOfThing  = 100 // of a finding or a statement about one, less its texts
)

// look reads what is attached to one release. What any look found out is used by
// all that follow: a bundle is read once, however many manifests name it, and its
// signature is verified once for each name of its key. What a look could not read any
// more the next one does, which goes on where this one ended.
type look struct {
	s       *Service
	release towpath.Digest
	// trust names the keys of the project. When they change, bytes are read again:
	// they may have gone meanwhile.
	trust towpath.Digest
	left  int64 // bytes that may still be read
}

// seen is something that a look reads.
type seen struct {
	trust, release, digest towpath.Digest
	as                     reading
	key                    towpath.KeyName // of a signature
}

// reading is what a look reads something as.
type reading int

const (
	asManifest reading = iota
	asBundle
	asSigned
)

// found is what a look found out about something.
type found struct {
	said  towpath.Attestation // as far as it says so: of a manifest its bundle, of a bundle its claim, of a signature all else
	claim signing.Claim
}

// weight is how much of the memory it takes, in [bytesOfWeight].
func (f found) weight() int {
	n := 0
	texts := func(all ...string) {
		for _, text := range all {
			n += len(text)
		}
	}
	if p := f.said.Provenance; p != nil {
		texts(p.Builder, p.Repository, p.Ref, string(p.Commit))
	}
	if s := f.said.Scan; s != nil {
		texts(s.Tool)
		for _, x := range s.Findings {
			n += bytesOfThing
			texts(x.ID, x.In, x.PURL, x.Ref)
		}
	}
	if v := f.said.VEX; v != nil {
		for _, x := range v.Statements {
			n += bytesOfThing
			texts(x.ID, x.Justification, x.PURL, x.Ref, x.In)
		}
	}
	return 1 + n/bytesOfWeight
}

// look begins a look at a release, when all these keys are known.
func (s *Service) look(p towpath.ProjectName, release towpath.Digest, all []towpath.TrustedKey) (*look, error) {
	text, err := json.Marshal(trustOf(slices.DeleteFunc(slices.Clone(all), func(k towpath.TrustedKey) bool { return k.Project != "" && k.Project != p })))
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, "trust.statements", "trusted keys can't be encoded").WithCause(err)
	}
	return &look{s: s, release: release, trust: towpath.DigestOf(text), left: s.cfg.MaxLook}, nil
}

// verify says what one attached bundle proves. Its errors are of reading it; what
// is wrong with it is told in the answer.
func (l *look) verify(ctx context.Context, j *judge, a towpath.Artifact) (towpath.Attestation, error) {
	x := towpath.Attestation{Artifact: a.Digest, Recorded: a.Pushed}
	manifest, err := l.once(seen{digest: a.Digest, as: asManifest}, func(f *found) error { return l.manifest(ctx, a.Digest, &f.said) })
	if err != nil {
		return x, err
	}
	x.Bundle = manifest.said.Bundle
	if manifest.said.Refused != "" {
		x.Refused, x.Rule = manifest.said.Refused, manifest.said.Rule
		return x, nil
	}
	var b []byte // read at most once
	bundle, err := l.once(seen{digest: x.Bundle, as: asBundle}, func(f *found) (err error) {
		if b, err = l.readFor(ctx, x.Bundle, signing.MaxBundle, &f.said); err != nil || f.said.Refused != "" {
			return err
		}
		if f.claim, err = signing.Read(b); err != nil {
			refuse(&f.said, err)
		}
		return nil
	})
	if err != nil {
		return x, err
	}
	x.KeyID = string(bundle.claim.Key)
	if bundle.claim.Type != "" {
		x.Type = evidence.TypeOf(bundle.claim.Type)
	}
	if bundle.said.Refused != "" {
		x.Refused, x.Rule = bundle.said.Refused, bundle.said.Rule
		return x, nil
	}
	var out towpath.Attestation
	for i, r := range j.of(bundle.claim.Key) { // one of them is enough
		said := x
		if err := r.verifier.Allows(bundle.claim, x.Recorded); err != nil {
			refuse(&said, err)
		} else if said, err = l.signed(ctx, r, bundle.claim, x, &b); err != nil {
			return x, err
		}
		if i == 0 || said.Verified() {
			out = said
		}
		if out.Verified() {
			break
		}
	}
	return out, nil
}

// signed says what a bundle proves, which may be signed by a key; its bytes are
// those that were read before, if they were.
func (l *look) signed(ctx context.Context, r record, claim signing.Claim, x towpath.Attestation, bytes *[]byte) (towpath.Attestation, error) {
	known, err := l.once(seen{digest: x.Bundle, as: asSigned, key: r.name}, func(f *found) (err error) {
		f.said = x
		if *bytes == nil {
			if *bytes, err = l.readFor(ctx, x.Bundle, signing.MaxBundle, &f.said); err != nil || f.said.Refused != "" {
				return err
			}
		}
		r.judge(*bytes, claim, l.release, &f.said)
		return nil
	})
	out := known.said
	out.Artifact, out.Recorded = x.Artifact, x.Recorded
	return out, err
}

// once finds something out, unless a look did before.
func (l *look) once(key seen, find func(*found) error) (found, error) {
	key.trust, key.release = l.trust, l.release
	f, ok := l.s.known.get(key)
	if ok {
		return f, nil
	}
	if err := find(&f); err != nil {
		return found{}, err
	}
	l.s.known.put(key, f, f.weight())
	return f, nil
}

// read reads a blob, as long as there is something left to read.
func (l *look) read(ctx context.Context, d towpath.Digest, limit int64) ([]byte, error) {
	if l.left <= 0 {
		return nil, towpath.E(towpath.KindExhausted, "trust.statements", "more bytes of statements are attached to the release than are looked at at once (%d MiB)", l.s.cfg.MaxLook>>20).
			On(string(l.release)).WithHint("wait: the next look goes on where this one ended; delete those that are not needed in the registry")
	}
	b, err := blob.ReadAll(ctx, l.s.blobs, d, limit)
	l.left -= int64(len(b))
	return b, err
}

// readFor reads a blob that somebody attached. One that is too large is a refusal of
// what it should prove, for the registry takes larger ones: that stops no gate. One
// that is lost or damaged is an error: nobody knows what it would prove.
func (l *look) readFor(ctx context.Context, d towpath.Digest, limit int64, x *towpath.Attestation) ([]byte, error) {
	b, err := l.read(ctx, d, limit)
	if towpath.KindOf(err) == towpath.KindExhausted && l.left > 0 {
		refuse(x, err)
		return nil, nil
	}
	return b, err
}

// manifest reads which bundle a manifest attaches.
func (l *look) manifest(ctx context.Context, d towpath.Digest, x *towpath.Attestation) error {
	manifest, err := l.readFor(ctx, d, oci.MaxManifest, x)
	if err != nil || x.Refused != "" {
		return err
	}
	m, err := oci.ParseAttachment(manifest)
	if err != nil {
		refuse(x, err)
		return nil
	}
	if m.Subject != l.release {
		refuse(x, towpath.E(towpath.KindInvalid, "", "its manifest is about something else"))
		return nil
	}
	if n := len(m.Content()); n != 1 {
		refuse(x, towpath.E(towpath.KindInvalid, "", "its manifest names %d things, and a bundle is one", n))
		return nil
	}
	content := m.Content()[0]
	x.Bundle = content.Digest
	if content.Size > signing.MaxBundle {
		refuse(x, towpath.E(towpath.KindInvalid, "", "the bundle has %d bytes; at most %d are read", content.Size, signing.MaxBundle))
	}
	return nil
}

// judge verifies a bundle as what it says that it is.
func (r record) judge(b []byte, claim signing.Claim, release towpath.Digest, x *towpath.Attestation) {
	got, err := r.verifier.Verify(b, signing.Requirement{Type: claim.Type, Subject: release, At: x.Recorded})
	if err != nil {
		refuse(x, err)
		return
	}
	x.Key, x.Payload, x.Hand = r.name, got.Payload, string(got.Hand)
	if err := evidence.ReadInto(x, got.Statement.Predicate); err != nil {
		refuse(x, err)
	}
}
