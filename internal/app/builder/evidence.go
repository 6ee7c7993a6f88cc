package builder

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/towpath/towpath/internal/build"
	"github.com/towpath/towpath/internal/cli"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/towpath"
)

// key is the signing key of a build; nil when none was configured. It is read
// before anything is built: a wrong password is no reason to wait.
func key(ctx context.Context, r cli.BuildRequest) (signing.Signer, error) {
	if r.Key == "" {
		return nil, nil
	}
	password := r.Password
	if password == nil {
		password = func() ([]byte, error) { return nil, nil }
	}
	return signing.Open(ctx, r.Key, password)
}

// uploading is for how long a certificate has to be valid when a release is built: it
// counts when the server has what it signed before it ends.
const uploading = time.Minute

// fresh is who signs when everything is built. A certificate of minutes may have ended
// by then: its program is asked for another.
func fresh(ctx context.Context, r cli.BuildRequest, k signing.Signer, now time.Time) (signing.Signer, error) {
	ends := func() (at time.Time) {
		if c, ok := k.(signing.Certified); ok && c.Certificate() != nil {
			at = c.Certificate().NotAfter
		}
		return at
	}
	if at := ends(); at.IsZero() || now.Add(uploading).Before(at) {
		return k, nil
	}
	k, err := key(ctx, r)
	if err != nil {
		return nil, err
	}
	if at := ends(); !at.IsZero() && !now.Before(at) {
		return nil, towpath.E(towpath.KindUnavailable, "build.sign", "the certificate that is to sign ended at %s, before the release was built", at.UTC().Format(time.RFC3339)).On(r.Key).
			WithHint("have the program get another one when it is asked for its public key")
	}
	return k, nil
}

// attest adds to what is handed over what there is to say about the release: its
// bill of materials always, and with a key the signed statements too.
func attest(ctx context.Context, out *cli.Built, res *build.Result, k signing.Signer, now time.Time) error {
	subject := oci.Blob{Digest: res.Digest, Size: int64(len(res.Manifest))}
	a, err := oci.AttachSBOM(subject, res.SBOM)
	if err != nil {
		return err
	}
	hand(out, cli.Evidence{Type: a.ArtifactType, Manifest: a.Digest}, a)
	if k == nil {
		return nil
	}
	id, err := signing.SignerID(k)
	if err != nil {
		return err
	}
	out.SignedBy = string(id)
	statements, err := statementsOf(res)
	if err != nil {
		return err
	}
	for _, s := range statements {
		bundle, err := signing.Sign(ctx, k, s.bytes)
		if err != nil {
			return err
		}
		claim, err := signing.Read(bundle)
		if err != nil {
			return err
		}
		out.Certified, out.Until = claim.Identity, claim.Until
		a, err := oci.AttachBundle(subject, s.kind, bundle, now)
		if err != nil {
			return err
		}
		hand(out, cli.Evidence{Type: s.kind, Manifest: a.Digest, Signed: true}, a)
	}
	return nil
}

type statement struct {
	kind  string
	bytes []byte
}

// statementsOf is what the builder says about a release that it made.
func statementsOf(res *build.Result) ([]statement, error) {
	signature, err := evidence.MakeSignature(res.Digest)
	if err != nil {
		return nil, err
	}
	sbom, err := evidence.Make(string(res.Content.Project), res.Digest, evidence.TypeSBOM, json.RawMessage(res.SBOM))
	if err != nil {
		return nil, err
	}
	return []statement{
		{evidence.TypeSignature, signature}, {evidence.TypeProvenance, res.Provenance}, {evidence.TypeSBOM, sbom},
	}, nil
}

// hand adds an attachment to what is uploaded, its manifest last.
func hand(out *cli.Built, e cli.Evidence, a oci.Attachment) {
	out.Evidence = append(out.Evidence, e)
	for _, b := range append(a.Blobs, a.Manifest) {
		d := towpath.DigestOf(b)
		if has(out.Blobs, d) {
			continue // the empty config is everybody's
		}
		out.Blobs = append(out.Blobs, cli.Blob{Digest: d, Size: int64(len(b)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b)), nil
		}})
	}
}

func has(blobs []cli.Blob, d towpath.Digest) bool {
	for _, b := range blobs {
		if b.Digest == d {
			return true
		}
	}
	return false
}
