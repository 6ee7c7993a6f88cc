package server

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/signing"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// attestor signs how promotions ended with the server's own key.
type attestor struct {
	key      signing.Signer
	blobs    blob.Store
	releases *release.Service
	now      func() time.Time
}

var _ promote.Attestor = (*attestor)(nil)

// attestationKey is the server's key: a program has it, or a file does, which all servers of an installation
// share: with the folder, or as a copy when their blobs are in a bucket. There a
// server that joins must not make one of its own, which the others don't trust.
func (s *Server) attestationKey(ctx context.Context, at place) (signing.Signer, error) {
	const op = "server.start"
	if s.cfg.AttestationKey != "" {
		key, err := signing.OpenExec(ctx, s.cfg.AttestationKey, 0)
		if err == nil && key.Certificate() != nil {
			return nil, towpath.E(towpath.KindInvalid, op, "the server's key has to be a key, and the program prints a certificate").On(s.cfg.AttestationKey).
				WithHint("it signs for as long as the server is there: have the program print a public key")
		}
		return key, err
	}
	path := filepath.Join(s.cfg.Data, "attestation.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && s.cfg.Blobs != "" {
		var founded int
		if err := s.db.QueryRow(ctx, `SELECT COUNT(*) FROM installation`).Scan(&founded); err != nil {
			return nil, sqldb.MapError(op, err)
		}
		if founded > 0 {
			return nil, towpath.E(towpath.KindConflict, op, "the data folder has no attestation.key, and other servers of the database have one").On(s.cfg.Data).
				WithHint("%s", at.others)
		}
	}
	return signing.LoadOrCreate(path)
}

// own is the server's key as one that is trusted everywhere, for the outcome of
// promotions and nothing else.
func own(key signing.Signer) (towpath.TrustedKey, error) {
	pem, err := signing.EncodePublic(key.Public())
	if err != nil {
		return towpath.TrustedKey{}, err
	}
	id, err := signing.IDOf(key.Public())
	return towpath.TrustedKey{
		Name: "towpath", ID: string(id), PublicKey: string(pem), Types: []towpath.EvidenceType{towpath.EvidencePromotion},
	}, err
}

// Attest implements [promote.Attestor].
func (a *attestor) Attest(ctx context.Context, p towpath.Promotion, attach func(towpath.Artifact, func(context.Context, promote.Tx) error) error) error {
	statement, err := evidence.MakePromotion(evidence.PromotionOf(&p))
	if err != nil {
		return err
	}
	bundle, err := signing.Sign(ctx, a.key, statement)
	if err != nil {
		return err
	}
	held, leave, err := a.releases.Hold(ctx)
	if err != nil {
		return err
	}
	defer leave()
	info, err := a.blobs.Stat(ctx, p.Release)
	if err != nil {
		return err
	}
	attached, err := oci.AttachBundle(oci.Blob{Digest: p.Release, Size: info.Size}, evidence.TypePromotion, bundle, p.UpdatedAt)
	if err != nil {
		return err
	}
	artifact := towpath.Artifact{
		Repository: towpath.ReleaseRepository(p.Project), Digest: attached.Digest, MediaType: towpath.MediaTypeManifest,
		Size: int64(len(attached.Manifest)), ArtifactType: attached.ArtifactType, Annotations: attached.Annotations, Subject: p.Release,
	}
	for _, b := range attached.Blobs {
		artifact.References = append(artifact.References, towpath.Reference{Digest: towpath.DigestOf(b), Size: int64(len(b))})
	}
	for _, b := range append(attached.Blobs, attached.Manifest) {
		if _, _, err := a.blobs.Put(ctx, towpath.DigestOf(b), bytes.NewReader(b), int64(len(b))); err != nil {
			return err
		}
	}
	now := a.now()
	return attach(artifact, func(ctx context.Context, tx promote.Tx) error {
		both, ok := tx.(release.Tx)
		if !ok {
			return towpath.E(towpath.KindInternal, "server.attest", "the transaction of promotions is not one of releases")
		}
		if err := release.Shelve(ctx, both, artifact, now); err != nil {
			return err
		}
		return held(ctx)
	})
}

// noteKey says loudly when the server signs with another key than before: what
// the one before signed is not believed any more, and nobody would know why.
// A missing file is made anew, so that a server starts that has lost it.
func (s *Server) noteKey(ctx context.Context, key signing.Signer) error {
	id, err := signing.IDOf(key.Public())
	if err != nil {
		return err
	}
	var before string
	ev := towpath.NewEvent(s.cfg.Now(), string(towpath.System().Account), "server.attestation-key.replaced")
	err = s.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT attestation_key FROM installation WHERE one = 1`).Scan(&before); err != nil || before == string(id) {
			return sqldb.MapError("server.start", err)
		}
		if _, err := tx.Exec(ctx, `UPDATE installation SET attestation_key = $1 WHERE one = 1`, string(id)); err != nil || before == "" {
			return sqldb.MapError("server.start", err)
		}
		ev.Subject, ev.Reason = string(id), "the server signs how promotions ended with another key than before; what "+before+" signed is not believed any more"
		return tx.Record(ctx, ev)
	})
	if err == nil && before != "" && before != string(id) {
		s.cfg.Log.ErrorContext(ctx, "the attestation key is another one than before: what it had signed is not believed any more",
			"before", before, "now", string(id), "hint", "bring attestation.key back from a backup, or the key of --attestation-key, and start the server again")
	}
	return err
}
