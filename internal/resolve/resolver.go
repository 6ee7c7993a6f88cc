package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/towpath/towpath/internal/git"
	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// Config is the configuration of a [Resolver].
type Config struct {
	// DockerConfig is the config.json with the user's credentials for
	// registries; a file that is missing has none.
	DockerConfig string
	// Getenv finds tokens for registries of modules, as Terraform names them:
	// TF_TOKEN_registry_example_com. Nil: there are none.
	Getenv func(string) string
	// Timeout bounds one request. Zero: a minute.
	Timeout time.Duration
	// Transport is how hosts are reached. Nil: as Go does by itself.
	Transport http.RoundTripper
}

// Resolver answers what references stand for. It is safe for concurrent use.
type Resolver struct {
	cfg  Config
	http *http.Client
	oci  *auth.Client
}

var _ pin.Resolver = (*Resolver)(nil)

// New makes a resolver.
func New(cfg Config) (*Resolver, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = func(string) string { return "" }
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	store, err := credentials.NewStore(cfg.DockerConfig, credentials.StoreOptions{})
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, "resolve.new", "the configuration of docker can't be read").On(cfg.DockerConfig).
			WithHint("correct the file; docker login writes it").WithCause(err)
	}
	client := &http.Client{Timeout: cfg.Timeout, Transport: cfg.Transport, CheckRedirect: redirected}
	return &Resolver{cfg: cfg, http: client, oci: &auth.Client{
		Client: client, Cache: auth.NewCache(), Credential: credentials.Credential(store),
	}}, nil
}

// Resolve says what a reference stands for now.
func (r *Resolver) Resolve(ctx context.Context, ref towpath.External) (towpath.Pin, error) {
	e := towpath.Pin{Name: ref.String(), Kind: ref.Kind}
	var err error
	switch {
	case ref.Kind == towpath.ExternalImage:
		err = r.image(ctx, ref, &e)
	case ref.Kind == towpath.ExternalChart && strings.HasPrefix(ref.Source, "oci://"):
		err = r.ociChart(ctx, ref, &e)
	case ref.Kind == towpath.ExternalChart:
		err = r.httpChart(ctx, ref, &e)
	case ref.Kind == towpath.ExternalProvider:
		err = r.provider(ctx, ref, &e)
	case strings.HasPrefix(ref.Source, "git::"):
		err = gitModule(ctx, ref, &e)
	case strings.HasPrefix(ref.Source, "oci://"):
		err = r.ociModule(ctx, ref, &e)
	default:
		err = r.registryModule(ctx, ref, &e)
	}
	return e, err
}

func gitModule(ctx context.Context, ref towpath.External, e *towpath.Pin) error {
	g, err := pin.ParseGit(ref.Source)
	if err != nil {
		return towpath.E(towpath.KindInvalid, "resolve.module", "%s: %s", ref, err)
	}
	found, err := git.LookUp(ctx, g.URL, g.Ref)
	e.Ref, e.Commit = found.Name, string(found.Commit)
	return err
}

// Limits on answers, in bytes.
const (
	maxIndex   = 64 << 20 // of a repository of charts
	maxArchive = 64 << 20 // of a chart
	maxAnswer  = 4 << 20  // of a registry of modules
)

// maxRedirects is how many redirects are followed, as many as Go does.
const maxRedirects = 10

// get reads what a URL has, at most so many bytes.
func (r *Resolver) get(ctx context.Context, op, address, token string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "%s is no address", address).WithCause(err)
	}
	if token != "" {
		if !confidential(req.URL) {
			return nil, inTheClear(op, req.URL)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := r.http.Do(req)
	var refused *towpath.Error
	if errors.As(err, &refused) {
		return nil, refused
	}
	if err != nil {
		return nil, unreachable(op, address, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, status(op, address, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, unreachable(op, address, err)
	}
	if int64(len(b)) > limit {
		return nil, towpath.E(towpath.KindExhausted, op, "%s has more than %d MiB", address, limit>>20)
	}
	return b, nil
}

func (r *Resolver) getJSON(ctx context.Context, op, address, token string, into any) error {
	b, err := r.get(ctx, op, address, token, maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return towpath.E(towpath.KindUnavailable, op, "%s answered something that can't be read", address).WithCause(err)
	}
	return nil
}

// redirected follows a redirect as Go does, but for one that takes a credential
// from https to http: Go takes it along within a host.
func redirected(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return towpath.E(towpath.KindUnavailable, "resolve.get", "%s redirects again and again", via[0].URL).
			WithHint("check the address; who runs the host has to correct it")
	}
	if req.Header.Get("Authorization") != "" && !confidential(req.URL) {
		return inTheClear("resolve.get", req.URL)
	}
	return nil
}

// confidential says that nobody on the way reads what is sent to an address.
func confidential(u *url.URL) bool { return u.Scheme == "https" || loopback.Host(u.Host) }

func inTheClear(op string, u *url.URL) error {
	return towpath.E(towpath.KindDenied, op, "the token for %s would be sent without TLS: its registry leads to %s://%s", u.Hostname(), u.Scheme, u.Host).
		WithHint("nothing was sent; who runs the registry has to name https:// in its .well-known/terraform.json and its redirects")
}

func unreachable(op, address string, err error) error {
	return towpath.E(towpath.KindUnavailable, op, "%s can't be reached", address).
		WithHint("check the address and the network, and try again").WithCause(err)
}

func status(op, address string, code int) error {
	switch code {
	case http.StatusNotFound:
		return towpath.E(towpath.KindNotFound, op, "%s: there is no such thing", address).WithHint("check the address in the project's files")
	case http.StatusUnauthorized, http.StatusForbidden:
		return towpath.E(towpath.KindUnauthenticated, op, "%s is not for everybody (HTTP status %d)", address, code).
			WithHint("log in: docker login for images and oci:// charts, TF_TOKEN_… for registries of modules")
	}
	return towpath.E(towpath.KindUnavailable, op, "%s answered with HTTP status %d", address, code).WithHint("try again later")
}
