package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// Released says whether what an operation would run is what its release holds,
// and whether that was said by who may say it. Its error is a [*kind.Failure]
// when not, and any other when it can't be told now.
type Released interface {
	Check(ctx context.Context, blobs Blobs, op towpath.Operation, auth agentrpc.Authorisation) error
}

// Blobs reads files of releases; what it yields was checked against the digest
// once it has been read to its end.
type Blobs interface {
	Blob(ctx context.Context, digest towpath.Digest) (io.ReadCloser, error)
}

// Verified checks releases for real. It believes the server's word for which
// evidence the gates relied on, and verifies it again; with keys of its own it
// demands a signature of one of them, whatever the server says.
type Verified struct{ own *signing.Verifier }

// NewVerified reads the agent's own keys, in PEM; none: it has none.
func NewVerified(keys []string) (*Verified, error) {
	if len(keys) == 0 {
		return &Verified{}, nil
	}
	var trust signing.Trust
	for _, k := range keys {
		trust.Keys = append(trust.Keys, signing.TrustedKey{Name: "own key", PublicKey: k, Types: []string{evidence.TypeSignature}})
	}
	own, err := signing.NewVerifier(trust)
	return &Verified{own: own}, err
}

// maxSignatures bounds how many signatures are tried with the agent's own keys.
const maxSignatures = 32

// Check implements [Released].
func (v *Verified) Check(ctx context.Context, blobs Blobs, op towpath.Operation, auth agentrpc.Authorisation) error {
	if err := v.holds(ctx, blobs, op); err != nil {
		return err
	}
	for _, e := range auth.Evidence {
		if err := v.proves(ctx, blobs, op.Spec.Release, e); err != nil {
			return err
		}
	}
	if v.own == nil {
		return nil
	}
	return v.signed(ctx, blobs, op.Spec.Release, auth)
}

// holds checks that the layer and the settings of an operation are those of its
// release, which is named by digest.
func (v *Verified) holds(ctx context.Context, blobs Blobs, op towpath.Operation) error {
	manifest, err := read(ctx, blobs, op.Spec.Release, oci.MaxManifest)
	if err != nil {
		return err
	}
	m, err := oci.ParseManifest(manifest)
	if err != nil {
		return refused("its release can't be read", err)
	}
	raw, err := read(ctx, blobs, m.Config.Digest, oci.MaxContent)
	if err != nil {
		return err
	}
	_, content, err := oci.Decode(manifest, raw)
	if err != nil {
		return refused("its release can't be read", err)
	}
	t := op.Target
	if content.Project != t.Project {
		return refused("its release is one of project "+string(content.Project)+", not of "+string(t.Project), nil)
	}
	c, ok := content.Component(t.Component)
	if !ok || c.Kind != op.Spec.Kind || c.Layer != op.Spec.Layer || c.Size != op.Spec.Size {
		return refused("the files are not those of "+string(t.Component)+" in its release", nil)
	}
	env, _ := content.Environment(t.Environment)
	rendered, ok := env.Component(t.Component)
	if !ok || rendered.Revision != op.Spec.Revision || !same(rendered.Spec, op.Spec.Rendered) {
		return refused("the settings are not those of "+string(t.Component)+" for "+string(t.Environment)+" in its release", nil)
	}
	return nil
}

// same compares JSON in its canonical form: on its way it may have been written
// otherwise.
func same(a, b []byte) bool {
	x, errA := oci.Canonical(json.RawMessage(a))
	y, errB := oci.Canonical(json.RawMessage(b))
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// proves verifies again what a gate relied on.
func (v *Verified) proves(ctx context.Context, blobs Blobs, release towpath.Digest, e towpath.Evidence) error {
	b, err := read(ctx, blobs, e.Bundle, signing.MaxBundle)
	if err != nil {
		return err
	}
	verifier, err := signing.NewVerifier(signing.Trust{Keys: []signing.TrustedKey{{Name: "approved key", PublicKey: e.PublicKey, Types: []string{e.Type}}}})
	if err == nil {
		_, err = verifier.Verify(b, signing.Requirement{Type: e.Type, Subject: release, At: e.Recorded})
	}
	if err != nil {
		return refused("evidence that its approval relied on does not hold", err)
	}
	return nil
}

// signed looks for a signature by one of the agent's own keys.
func (v *Verified) signed(ctx context.Context, blobs Blobs, release towpath.Digest, auth agentrpc.Authorisation) error {
	var last error
	for i, d := range auth.Signatures {
		if i == maxSignatures {
			break
		}
		b, err := read(ctx, blobs, d, signing.MaxBundle)
		if err != nil {
			return err
		}
		_, last = v.own.Verify(b, signing.Requirement{Type: evidence.TypeSignature, Subject: release, At: auth.At})
		if last == nil {
			return nil
		}
	}
	return refused("its release has no signature by a key that this agent was given with --release-key", last)
}

// read reads a blob whole; the end checks its digest.
func read(ctx context.Context, blobs Blobs, d towpath.Digest, limit int64) ([]byte, error) {
	r, err := blobs.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, refused("a part of its release has more than the bytes that are read", nil)
	}
	return b, nil
}

// refused is the failure of an operation that this agent does not carry out.
func refused(why string, cause error) error {
	if message, _ := towpath.PublicMessage(cause); cause != nil && message != "" {
		why += ": " + strings.TrimSuffix(message, ".")
	}
	return &kind.Failure{Message: "the agent refuses the operation: " + why}
}

// released checks an operation that brings files to run, unless they have had
// the traffic here already: then they were checked before, and a rollback needs
// nothing but what is on this disk.
func (a *Agent) released(ctx context.Context, op towpath.Operation, auth agentrpc.Authorisation) error {
	if op.Verb != towpath.VerbPrepare && op.Verb != towpath.VerbRestore || a.journal.switched(op.Target, op.Spec.Revision) {
		return nil
	}
	return a.cfg.Released.Check(ctx, a.client, op, auth)
}
