package registry

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// Manifest describes the manifest that a tag or digest names.
func (s *Service) Manifest(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, ref string) (towpath.Artifact, error) {
	const op = "registry.pull"
	if err := allowed(op, actor, access.RegistryPull, r); err != nil {
		return towpath.Artifact{}, err
	}
	digest, tag, err := reference(op, ref)
	if err != nil && !strings.Contains(ref, ":") {
		// Nothing can have been pushed under it, and to pull what is not there
		// is 404. What looks like a digest is refused as one instead.
		return towpath.Artifact{}, fail(ManifestUnknown, op, "the repository has no such manifest").On(string(r) + ":" + shown(ref)).WithCause(err)
	}
	if err != nil {
		return towpath.Artifact{}, err
	}
	var a towpath.Artifact
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		d := digest
		if tag != "" {
			if d, err = tx.Tag(ctx, r, tag); err != nil {
				return explain(ctx, tx, op, r, err, ref)
			}
		}
		if a, err = tx.Artifact(ctx, r, d); err != nil {
			return explain(ctx, tx, op, r, err, ref)
		}
		return nil
	})
	return a, err
}

// explain says whether the repository or the manifest is missing.
func explain(ctx context.Context, tx Tx, op string, r towpath.RepositoryName, err error, ref string) error {
	if towpath.KindOf(err) != towpath.KindNotFound {
		return err
	}
	if err := known(ctx, tx, op, r); err != nil {
		return err
	}
	return fail(ManifestUnknown, op, "the repository has no such manifest").On(string(r) + ":" + shown(ref))
}

// Content reads a manifest that [Service.Manifest] described, and checks it.
func (s *Service) Content(ctx context.Context, a towpath.Artifact) ([]byte, error) {
	b, err := blob.ReadAll(ctx, s.blobs, a.Digest, a.Size)
	return b, lost(err, ManifestUnknown, "the manifest %s is lost", a.Digest)
}

// Blob is the size of a blob that a repository has, in bytes.
func (s *Service) Blob(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest) (int64, error) {
	const op = "registry.pull"
	if err := allowed(op, actor, access.RegistryPull, r); err != nil {
		return 0, err
	}
	if err := checkDigest(op, d); err != nil {
		return 0, err
	}
	var size int64
	var linked time.Time
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		linked = s.cfg.Now()
		var err error
		if size, err = tx.BlobSize(ctx, r, d); err == nil {
			linked, err = tx.BlobLinked(ctx, r, d)
		}
		if towpath.KindOf(err) != towpath.KindNotFound {
			return err
		}
		// What clients know as a manifest they may also read as a blob.
		a, err := tx.Artifact(ctx, r, d)
		size = a.Size
		if towpath.KindOf(err) != towpath.KindNotFound {
			return err
		}
		if err := known(ctx, tx, op, r); err != nil {
			return err
		}
		return unknownBlob(op, d)
	})
	if err != nil {
		return 0, err
	}
	if err := s.relink(ctx, r, d, linked); err != nil {
		return 0, err
	}
	_, err = s.blobs.Stat(ctx, d)
	return size, lost(err, BlobUnknown, "the blob %s is lost", d)
}

// lost is the error of what a record says is there, and is not: it was found
// damaged before and put aside, or somebody took it away.
func lost(err error, c Code, format string, d towpath.Digest) error {
	if towpath.KindOf(err) != towpath.KindNotFound || CodeOf(err) != "" {
		return err
	}
	return fail(c, "registry.pull", format, d).WithCause(err).
		WithHint("it is damaged, or was deleted: `towpath registry scrub` lists what is, and with --repair-from fetches it from a copy; pushing the same again heals it too")
}

// relink makes a blob young again that somebody asks for: a client that is told
// that it is there will not push it, and names it in a manifest soon. Reads must
// go on when the database takes no writes, so a failure is none.
func (s *Service) relink(ctx context.Context, r towpath.RepositoryName, d towpath.Digest, linked time.Time) error {
	now := s.cfg.Now()
	if now.Sub(linked) < s.cfg.Grace/2 {
		return nil
	}
	_ = s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.RelinkBlob(ctx, r, d, now) })
	return ctx.Err()
}

// OpenBlob reads a blob that [Service.Blob] found. Its reader fails instead of
// yielding the last bytes when the content is damaged.
func (s *Service) OpenBlob(ctx context.Context, d towpath.Digest) (io.ReadCloser, error) {
	r, _, err := s.blobs.Open(ctx, d)
	return r, lost(err, BlobUnknown, "the blob %s is lost", d)
}

func unknownBlob(op string, d towpath.Digest) error {
	return fail(BlobUnknown, op, "the repository has no such blob").On(string(d))
}

func checkDigest(op string, d towpath.Digest) error {
	if d.Algorithm() == "" {
		return fail(DigestInvalid, op, "%q is not a digest", shown(string(d))).
			WithHint("a digest is sha256: and 64 hex digits, or sha512: and 128")
	}
	return nil
}
