package resolve

import (
	"context"
	"errors"
	"strings"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// maxTags bounds the tags of a chart that are looked at.
const maxTags = 100_000

// image finds the digest of a tag: of the index, for an image of several
// platforms.
func (r *Resolver) image(ctx context.Context, ref towpath.External, e *towpath.Pin) error {
	n, err := pin.ParseImage(ref.Source)
	if err != nil {
		return towpath.E(towpath.KindInvalid, "resolve.image", "%s: %s", ref, err)
	}
	e.Digest, err = r.digest(ctx, "resolve.image", ref, r.repository(n), n.Tag)
	return err
}

// ociModule finds the digest of a module's tag.
func (r *Resolver) ociModule(ctx context.Context, ref towpath.External, e *towpath.Pin) error {
	const op = "resolve.module"
	n, err := pin.ParseOCIModule(ref.Source)
	if err != nil {
		return towpath.E(towpath.KindInvalid, op, "%s: %s", ref, err)
	}
	e.Digest, err = r.digest(ctx, op, ref, r.repository(n), n.Tag)
	return err
}

// ociChart finds the newest version that is allowed among a chart's tags, where
// + is written _, and its digest.
func (r *Resolver) ociChart(ctx context.Context, ref towpath.External, e *towpath.Pin) error {
	const op = "resolve.chart"
	n, err := pin.ParseImage(strings.TrimPrefix(ref.Source, "oci://"))
	if err != nil {
		return towpath.E(towpath.KindInvalid, op, "%s: %s", ref, err)
	}
	repo := r.repository(n)
	var versions []string
	err = repo.Tags(ctx, "", func(tags []string) error {
		for _, t := range tags {
			versions = append(versions, strings.ReplaceAll(t, "_", "+"))
		}
		if len(versions) > maxTags {
			return towpath.E(towpath.KindExhausted, op, "%s has more than %d tags", ref.Source, maxTags)
		}
		return nil
	})
	if err != nil {
		return registryError(op, ref, n.Host, err)
	}
	var ok bool
	if e.Version, ok = pin.Newest(ref, versions); !ok {
		return noVersion(op, ref, len(versions))
	}
	e.Digest, err = r.digest(ctx, op, ref, repo, strings.ReplaceAll(e.Version, "+", "_"))
	return err
}

func noVersion(op string, ref towpath.External, of int) error {
	return towpath.E(towpath.KindNotFound, op, "%s: none of its %d versions is allowed", ref, of).
		WithHint("widen the range; a version such as 1.0.0-rc1 counts only when the range names one, as in >=1.0.0-0")
}

func (r *Resolver) repository(n pin.ImageName) *remote.Repository {
	return &remote.Repository{
		Client: r.oci, PlainHTTP: loopback.Host(n.Host), // as docker does
		Reference: registry.Reference{Registry: n.Host, Repository: n.Repository},
	}
}

func (r *Resolver) digest(ctx context.Context, op string, ref towpath.External, repo *remote.Repository, tag string) (towpath.Digest, error) {
	d, err := repo.Resolve(ctx, tag)
	if err != nil {
		return "", registryError(op, ref, repo.Reference.Registry, err)
	}
	digest := towpath.Digest(d.Digest)
	if !digest.Valid() {
		return "", towpath.E(towpath.KindInvalid, op, "%s has a digest of another kind than sha256: %s", ref, d.Digest)
	}
	return digest, nil
}

// registryError says what a registry's refusal means.
func registryError(op string, ref towpath.External, host string, err error) error {
	var known *towpath.Error
	var answer *errcode.ErrorResponse
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, errdef.ErrNotFound):
		return towpath.E(towpath.KindNotFound, op, "%s: the registry %s has no such thing", ref, host).WithHint("check its name and its tag").WithCause(err)
	case errors.As(err, &answer):
		e := status(op, ref.String(), answer.StatusCode)
		if errors.As(e, &known) {
			return known.WithCause(err)
		}
		return e
	}
	return unreachable(op, host, err)
}
