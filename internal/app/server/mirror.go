package server

import (
	"context"
	"io"
	"strings"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// mirror makes the loop that brings what releases pin elsewhere into our
// registry, with the logins that the server was given. A registry on this
// machine is spoken to without TLS, as `towpath lock` does.
func (s *Server) mirror(artifacts *registry.Service, blobs blob.Store) (*mirror.Service, error) {
	logins, err := s.registryLogins()
	if err != nil {
		return nil, err
	}
	return mirror.New(mirror.Config{
		Now: s.cfg.Now,
		Connect: func(repository string, plainHTTP bool) (mirror.Registry, error) {
			return replicate.NewRemote(replicate.RemoteConfig{
				Repository: repository, PlainHTTP: plainHTTP || loopback.Host(hostOf(repository)), Login: logins, UserAgent: "towpath/" + s.cfg.Version,
			})
		},
		Own: func(r towpath.RepositoryName) mirror.Repository { return mirrored{artifacts, r} },
	}, store.For[mirror.Tx](s.store), blobs), nil
}

func hostOf(repository string) string {
	host, _, _ := strings.Cut(repository, "/")
	return host
}

// mirrored is a repository of ours that images are copied to. It goes the way of
// everybody who pushes: what is pushed is checked, recorded and found by the
// collection of garbage in the same way.
type mirrored struct {
	registry   *registry.Service
	repository towpath.RepositoryName
}

var (
	_ mirror.Repository = mirrored{}
	_ replicate.Mounter = mirrored{}
)

// Root implements [mirror.Repository].
func (m mirrored) Root(ctx context.Context, d towpath.Digest) (v1.Descriptor, error) {
	a, err := m.registry.Manifest(ctx, towpath.System(), m.repository, string(d))
	return v1.Descriptor{MediaType: a.MediaType, Digest: digest.Digest(a.Digest), Size: a.Size}, err
}

// Manifest implements [replicate.Source].
func (m mirrored) Manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	a, err := m.registry.Manifest(ctx, towpath.System(), m.repository, string(d.Digest))
	if err != nil {
		return nil, err
	}
	return m.registry.Content(ctx, a)
}

// Blob implements [replicate.Source].
func (m mirrored) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	if _, err := m.registry.Blob(ctx, towpath.System(), m.repository, towpath.Digest(d.Digest)); err != nil {
		return nil, err
	}
	return m.registry.OpenBlob(ctx, towpath.Digest(d.Digest))
}

// Referrers implements [replicate.Source].
func (m mirrored) Referrers(ctx context.Context, subject v1.Descriptor) ([]v1.Descriptor, error) {
	var out []v1.Descriptor
	for last := towpath.Digest(""); ; {
		page, more, err := m.registry.Referrers(ctx, towpath.System(), m.repository, towpath.Digest(subject.Digest), "", last)
		if err != nil {
			return nil, err
		}
		for _, a := range page {
			out = append(out, v1.Descriptor{MediaType: a.MediaType, Digest: digest.Digest(a.Digest), Size: a.Size, ArtifactType: a.ArtifactType})
		}
		if !more || len(page) == 0 {
			return out, nil
		}
		last = page[len(page)-1].Digest
	}
}

// HasManifest implements [replicate.Destination].
func (m mirrored) HasManifest(ctx context.Context, d v1.Descriptor) (bool, error) {
	_, err := m.Root(ctx, towpath.Digest(d.Digest))
	return has(err)
}

// HasBlob implements [replicate.Destination].
func (m mirrored) HasBlob(ctx context.Context, d v1.Descriptor) (bool, error) {
	_, err := m.registry.Blob(ctx, towpath.System(), m.repository, towpath.Digest(d.Digest))
	return has(err)
}

func has(err error) (bool, error) {
	if towpath.KindOf(err) == towpath.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// Mount implements [replicate.Mounter]: bytes that a repository of the project has
// are not fetched again. Those of other projects are: whoever writes the image
// outside names the digests, and must get at nothing by that which only others
// have.
func (m mirrored) Mount(ctx context.Context, _ replicate.Source, d v1.Descriptor, open replicate.Open) (bool, error) {
	mounted, err := m.registry.MountOwn(ctx, towpath.System(), m.repository, towpath.Digest(d.Digest))
	if err != nil || mounted {
		return mounted, err
	}
	return false, m.PutBlob(ctx, d, open)
}

// PutBlob implements [replicate.Destination].
func (m mirrored) PutBlob(ctx context.Context, d v1.Descriptor, open replicate.Open) error {
	body, err := open()
	if err != nil {
		return err
	}
	defer body.Close()
	from := &heard{r: body}
	err = m.registry.PutBlob(ctx, towpath.System(), m.repository, towpath.Digest(d.Digest), from)
	if from.err != nil {
		return from.err // says more than that the upload ended early, and whether it is worth another attempt
	}
	return err
}

// PutManifest implements [replicate.Destination].
func (m mirrored) PutManifest(ctx context.Context, d v1.Descriptor, manifest []byte) error {
	_, err := m.registry.Push(ctx, towpath.System(), registry.PushRequest{
		Repository: m.repository, Reference: string(d.Digest), ContentType: d.MediaType, Manifest: manifest,
	})
	return err
}

// heard remembers the error of a source that is read.
type heard struct {
	r   io.Reader
	err error
}

// Read implements [io.Reader].
func (h *heard) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if err != nil && err != io.EOF {
		h.err = err
	}
	return n, err
}
