package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/gate"
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
// evidence the gates relied on and for the rules that ask for it, verifies that
// evidence and judges it by those rules again; with keys of its own it demands a
// signature of one of them, whatever the server says.
type Verified struct{ own *signing.Verifier }

// NewVerified reads the agent's own keys, in PEM; none: it has none.
func NewVerified(keys []string) (*Verified, error) {
	if len(keys) == 0 {
		return &Verified{}, nil
	}
	var trust signing.Trust
	for _, k := range keys {
		if _, err := signing.ParsePublic([]byte(k)); err != nil { // when an identity signed only a server can say
			return nil, err
		}
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
	var said []towpath.Attestation
	for _, e := range auth.Evidence {
		a, err := v.proves(ctx, blobs, op.Spec.Release, e)
		if err != nil {
			return err
		}
		said = append(said, a)
	}
	if err := passes(op, auth, said); err != nil {
		return err
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

// proves verifies again what a gate relied on, and reads what it says.
func (v *Verified) proves(ctx context.Context, blobs Blobs, release towpath.Digest, e towpath.Evidence) (towpath.Attestation, error) {
	out := towpath.Attestation{Type: evidence.TypeOf(e.Type), Bundle: e.Bundle, Key: e.Key, Recorded: e.Recorded, First: e.First}
	b, err := read(ctx, blobs, e.Bundle, signing.MaxBundle)
	if err != nil {
		return out, err
	}
	verifier, err := signing.NewVerifier(signing.Trust{Keys: []signing.TrustedKey{{Name: "approved key", PublicKey: e.PublicKey, Types: []string{e.Type}}}})
	var got *signing.Verified
	if err == nil {
		got, err = verifier.Verify(b, signing.Requirement{Type: e.Type, Subject: release, At: e.Recorded})
	}
	if err != nil {
		return out, refused("evidence that its approval relied on does not hold", err)
	}
	out.KeyID, out.Hand, out.Payload = string(got.Key), string(got.Hand), got.Payload // the key itself, whatever name it is given
	if err := evidence.ReadInto(&out, got.Statement.Predicate); err != nil {
		return out, refused("evidence that its approval relied on can't be read", err)
	}
	return out, nil
}

// passes judges what was verified by the rules under which it was approved: that
// an approval says so is not enough. Rollbacks and repairs bring what passed
// before, and an approval of a server that did not name rules yet can't be judged.
func passes(op towpath.Operation, auth agentrpc.Authorisation, said []towpath.Attestation) error {
	if auth.Rules == nil {
		return nil
	}
	c := towpath.Candidate{Release: op.Spec.Release, Commit: auth.Commit}
	if open := gate.Again(*auth.Rules, op.Target.Environment, c, said, auth.At); len(open) > 0 {
		return refused("the evidence does not satisfy the rules of "+string(op.Target.Environment)+": "+strings.TrimSuffix(strings.Join(open, " "), "."), nil)
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

// released checks an operation's revision, which its files and settings fit,
// unless this agent has done so: it has had the traffic here, when a rollback needs
// nothing but what is on this disk, or the same deployment prepared it. Whatever else
// is asked of a revision, to verify it runs its jobs.
func (a *Agent) released(ctx context.Context, op towpath.Operation, auth agentrpc.Authorisation) error {
	brings := op.Verb == towpath.VerbPrepare || op.Verb == towpath.VerbRestore
	switch {
	case op.Verb == towpath.VerbPlan || op.Verb == towpath.VerbRemove:
		return nil
	case a.journal.switched(op.Target, op.Spec.Revision):
		return nil
	case !brings && a.journal.prepared(op):
		return nil
	}
	return a.cfg.Released.Check(ctx, a.client, op, auth)
}
