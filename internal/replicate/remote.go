package replicate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/towpath"
)

// Login is what a registry is told. It redacts itself when it is printed.
type Login struct{ User, Password string }

// String hides the password.
func (Login) String() string { return "(login)" }

// GoString hides the password.
func (Login) GoString() string { return "(login)" }

// RemoteConfig says which repository of which registry is meant. Repository is
// required.
type RemoteConfig struct {
	Repository string // "registry.example/shop" or "localhost:5000/team/shop"
	PlainHTTP  bool   // without TLS
	// Login finds what to log in with at a host; the zero value is nobody.
	Login     func(ctx context.Context, host string) (Login, error)
	Transport http.RoundTripper // default: a copy of http.DefaultTransport
	UserAgent string
	Limits    Limits        // of what it lists
	Answer    time.Duration // that it may say nothing to a question for; default: [DefaultAnswer]
	Stall     time.Duration // that nothing may move of a blob for; default: [DefaultStall]
	// Waits is told when the registry says nothing for long, from several
	// goroutines; may be nil.
	Waits func(Wait)
}

// Remote is a repository of any OCI registry. Where that has no API of
// referrers their list is kept under a tag, as the specification says: it then
// must be the only writer about what it writes.
type Remote struct {
	repo   *remote.Repository
	limits Limits
	bare   *http.Client // that logs in nowhere
}

// SplitReference takes "registry.example/shop:1.4.0" apart; the tag may be
// missing.
func SplitReference(ref string) (repository, tag string, err error) {
	parsed, err := registry.ParseReference(ref)
	if err != nil || (parsed.Reference != "" && !towpath.ValidTag(parsed.Reference)) {
		return "", "", towpath.E(towpath.KindInvalid, "replicate.remote", "%q is not a repository of a registry, with or without a tag", shown(ref)).WithCause(err).
			WithHint("it reads registry.example/shop or registry.example/shop:1.4.0")
	}
	return parsed.Registry + "/" + parsed.Repository, parsed.Reference, nil
}

// NewRemote makes a client of a repository. It connects to nothing.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	const op = "replicate.remote"
	repo, err := remote.NewRepository(cfg.Repository)
	if err != nil || repo.Reference.Reference != "" {
		return nil, towpath.E(towpath.KindInvalid, op, "%q is not a repository of a registry", shown(cfg.Repository)).WithCause(err).
			WithHint("it reads registry.example/shop, or localhost:5000/team/shop")
	}
	if cfg.Transport == nil {
		cfg.Transport = transport()
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "towpath"
	}
	if cfg.Answer <= 0 {
		cfg.Answer = DefaultAnswer
	}
	if cfg.Stall <= 0 {
		cfg.Stall = DefaultStall
	}
	if cfg.Waits == nil {
		cfg.Waits = func(Wait) {}
	}
	repo.PlainHTTP = cfg.PlainHTTP
	repo.MaxMetadataBytes = DefaultLimits().ManifestBytes
	repo.ReferrerListMaxPages = DefaultLimits().Manifests
	// Deleting the list that a newer one took the place of may be forbidden, and
	// would race with who reads it.
	repo.SkipReferrersGC = true
	client := &auth.Client{
		Client: &http.Client{Transport: &hearing{&patient{cfg.Transport, min(cfg.Answer, cfg.Stall), cfg.Stall, cfg.Waits}}}, Cache: auth.NewCache(), Header: http.Header{"User-Agent": {cfg.UserAgent}},
	}
	if cfg.Login != nil {
		client.Credential = func(ctx context.Context, host string) (auth.Credential, error) {
			l, err := cfg.Login(ctx, host)
			if err != nil || l == (Login{}) {
				return auth.EmptyCredential, err
			}
			if cfg.PlainHTTP {
				if err := InClear(host); err != nil {
					return auth.EmptyCredential, err
				}
			}
			if l.User == identityToken {
				return auth.Credential{RefreshToken: l.Password}, nil
			}
			return auth.Credential{Username: l.User, Password: l.Password}, nil
		}
	}
	repo.Client = client
	return &Remote{repo: repo, limits: cfg.Limits.withDefaults(), bare: &http.Client{Transport: cfg.Transport, Timeout: introduction}}, nil
}

// introduction is how long a registry has to say which one it is.
const introduction = 5 * time.Second

// Installation is which installation of Towpath the registry is, by its own word
// (see [towpath.HeaderInstallation]); empty: of none, or nobody knows now. It
// is asked once, and shown no login.
func (r *Remote) Installation(ctx context.Context) string {
	u := url.URL{Scheme: "https", Host: r.repo.Reference.Host(), Path: "/v2/"}
	if r.repo.PlainHTTP {
		u.Scheme = "http"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return ""
	}
	resp, err := r.bare.Do(req)
	if err != nil {
		return ""
	}
	_ = resp.Body.Close() // only its header counts
	return resp.Header.Get(towpath.HeaderInstallation)
}

// identityToken is the user of a password that is an identity token.
const identityToken = "<token>"

// InClear is the error of a password that would be sent without TLS; nil when
// it stays on this machine.
func InClear(host string) error {
	if loopback.Host(host) {
		return nil
	}
	return towpath.E(towpath.KindInvalid, "replicate.remote", "a password is not sent without TLS to another machine").On(host).
		WithHint("leave --plain-http away")
}

func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.DisableCompression = true
	return t
}

// Host is the registry's address.
func (r *Remote) Host() string { return r.repo.Reference.Registry }

// Name is the repository's name in its registry.
func (r *Remote) Name() string { return r.repo.Reference.Repository }

// Resolve finds the manifest that a tag or digest names.
func (r *Remote) Resolve(ctx context.Context, cfg Config, ref string) (d v1.Descriptor, err error) {
	err = cfg.withDefaults().again(ctx, func() error {
		return r.do(ctx, func(ctx context.Context) error {
			d, err = r.repo.Resolve(ctx, ref)
			return err
		})
	})
	if err == nil && towpath.Digest(d.Digest).Algorithm() == "" {
		err = malformed(d, "the registry calls it by the digest %q", shown(string(d.Digest)))
	}
	return plain(d), err
}

// Tag makes a name mean a manifest that is there.
func (r *Remote) Tag(ctx context.Context, cfg Config, d v1.Descriptor, manifest []byte, tag string) error {
	return cfg.withDefaults().again(ctx, func() error {
		return r.do(ctx, func(ctx context.Context) error {
			return r.repo.Manifests().PushReference(ctx, d, bytes.NewReader(manifest), tag)
		})
	})
}

// Manifest implements [Source].
func (r *Remote) Manifest(ctx context.Context, d v1.Descriptor) (body []byte, err error) {
	err = r.do(ctx, func(ctx context.Context) error {
		c, err := r.repo.Manifests().Fetch(ctx, d)
		if err != nil {
			return err
		}
		defer c.Close()
		body, err = readAll(ctx, c, d)
		return err
	})
	return body, err
}

// Blob implements [Source].
func (r *Remote) Blob(ctx context.Context, d v1.Descriptor) (body io.ReadCloser, err error) {
	err = r.do(ctx, func(ctx context.Context) error {
		body, err = r.repo.Blobs().Fetch(ctx, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &pulling{body, r}, nil
}

// pulling tells a connection that broke off from content that is wrong.
type pulling struct {
	io.ReadCloser
	from *Remote
}

// Read implements [io.Reader].
func (p *pulling) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = p.from.failed(err, 0)
	}
	return n, err
}

// Referrers implements [Source], without annotations. A registry may answer with
// any number of pages and anything in them: what is kept of each descriptor is
// bounded, and how much is read in all.
func (r *Remote) Referrers(ctx context.Context, subject v1.Descriptor) (all []v1.Descriptor, err error) {
	err = r.do(ctx, func(ctx context.Context) error {
		all = nil
		left := r.limits.List
		return r.repo.Referrers(ctx, subject, "", func(page []v1.Descriptor) error {
			for _, d := range page {
				if err := checkDescriptor(subject, d); err != nil {
					return err
				}
				left -= listed(d)
				all = append(all, plain(d))
			}
			if len(all) > r.limits.Manifests || left < 0 {
				return exceeded("replicate.remote", "more than %d manifests are about it, or they are listed with more than %d bytes", r.limits.Manifests, r.limits.List).
					On(string(subject.Digest))
			}
			return nil
		})
	})
	return all, err
}

// listed is about how many bytes a descriptor has in a list.
func listed(d v1.Descriptor) int64 {
	n := len(d.MediaType) + len(d.Digest) + len(d.ArtifactType) + len(d.Data)
	for k, v := range d.Annotations {
		n += len(k) + len(v)
	}
	for _, u := range d.URLs {
		n += len(u)
	}
	return int64(n)
}

// HasManifest implements [Destination].
func (r *Remote) HasManifest(ctx context.Context, d v1.Descriptor) (has bool, err error) {
	err = r.do(ctx, func(ctx context.Context) error {
		has, err = r.repo.Manifests().Exists(ctx, d)
		return err
	})
	return has, err
}

// HasBlob implements [Destination].
func (r *Remote) HasBlob(ctx context.Context, d v1.Descriptor) (has bool, err error) {
	err = r.do(ctx, func(ctx context.Context) error {
		has, err = r.repo.Blobs().Exists(ctx, d)
		return err
	})
	return has, err
}

// Mount implements [Mounter]: within one registry bytes stay where they are.
func (r *Remote) Mount(ctx context.Context, from Source, d v1.Descriptor, open Open) (bool, error) {
	if o, ok := from.(*Overlay); ok && !o.has(d) {
		from = o.Source
	}
	src, ok := from.(*Remote)
	if !ok || src.Host() != r.Host() || src.Name() == r.Name() {
		return false, r.PutBlob(ctx, d, open)
	}
	sent := false
	lent := lend(open)
	err := r.do(ctx, func(ctx context.Context) error {
		// A registry that does not mount has begun an upload instead, which is used.
		return r.repo.Mount(ctx, d, src.Name(), func() (io.ReadCloser, error) { sent = true; return lent() })
	})
	switch towpath.KindOf(err) {
	case towpath.KindForbidden, towpath.KindUnauthenticated, towpath.KindNotFound: // who may push may not pull there
		if !sent {
			return false, r.PutBlob(ctx, d, open)
		}
	}
	return !sent, err
}

// PutBlob implements [Destination].
func (r *Remote) PutBlob(ctx context.Context, d v1.Descriptor, open Open) error {
	body, err := lend(open)()
	if err != nil {
		return err
	}
	defer body.Close()
	return r.do(ctx, func(ctx context.Context) error { return r.repo.Blobs().Push(ctx, d, body) })
}

// PutManifest implements [Destination].
func (r *Remote) PutManifest(ctx context.Context, d v1.Descriptor, manifest []byte) error {
	return r.do(ctx, func(ctx context.Context) error { return r.repo.Manifests().Push(ctx, d, bytes.NewReader(manifest)) })
}
