package ocidist

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

// Registry is the use case. It authorises; the handler does not.
type Registry interface {
	MaxManifest() int
	Push(ctx context.Context, actor towpath.Actor, r registry.PushRequest) (registry.Pushed, error)
	Manifest(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, ref string) (towpath.Artifact, error)
	Content(ctx context.Context, a towpath.Artifact) ([]byte, error)
	Delete(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, ref string) error

	Blob(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest) (int64, error)
	OpenBlob(ctx context.Context, d towpath.Digest) (io.ReadCloser, error)
	PutBlob(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest, body io.Reader) error
	Mount(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest, from towpath.RepositoryName) (bool, error)
	DeleteBlob(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, d towpath.Digest) error

	Begin(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName) (registry.Upload, error)
	Status(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id registry.UploadID) (registry.Upload, error)
	Append(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id registry.UploadID, span registry.Span, body io.Reader) (registry.Upload, error)
	Finish(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id registry.UploadID, d towpath.Digest, span registry.Span, body io.Reader) error
	Cancel(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, id registry.UploadID) error

	Tags(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, n int, last string) (registry.Names, error)
	Catalog(ctx context.Context, actor towpath.Actor, n int, last string) (registry.Names, error)
	Referrers(ctx context.Context, actor towpath.Actor, r towpath.RepositoryName, subject towpath.Digest, artifactType string, last towpath.Digest) ([]towpath.Artifact, bool, error)
}

// Accounts authenticates requests.
type Accounts interface {
	Authenticate(ctx context.Context, secret string) (towpath.Actor, error)
}

// Config says how the handler works. Now is required.
type Config struct {
	Now func() time.Time
	Log *slog.Logger
	// RequestID is the ID of a request, for the ledger and the log.
	RequestID func(context.Context) string
	// Installation is what the registry answers as
	// [towpath.HeaderInstallation]; empty: nothing.
	Installation string
	// Idle is how long a client may send or take nothing; default 1 min.
	Idle time.Duration
}

// Handler serves everything under /v2/.
type Handler struct {
	cfg      Config
	registry Registry
	accounts Accounts
	small    sync.Pool // of *[]byte, for small blobs
}

// New makes the handler.
func New(cfg Config, registry Registry, accounts Accounts) *Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.RequestID == nil {
		cfg.RequestID = func(context.Context) string { return "" }
	}
	if cfg.Idle <= 0 {
		cfg.Idle = time.Minute
	}
	return &Handler{cfg: cfg, registry: registry, accounts: accounts}
}

// request is a request to the registry, taken apart.
type request struct {
	*http.Request
	actor towpath.Actor
	what  resource
	name  towpath.RepositoryName
	ref   string // tag, digest or upload; as sent
}

// resource is what a path is about.
type resource string

const (
	base      resource = "base"
	token     resource = "token"
	catalog   resource = "catalog"
	tags      resource = "tags"
	manifest  resource = "manifest"
	blobs     resource = "blob"
	uploads   resource = "uploads"
	upload    resource = "upload"
	referrers resource = "referrers"
)

// parsePath takes a path apart. A repository may have parts that look like
// those that follow it: the last ones count.
func parsePath(path string) (what resource, name, ref string) {
	path = strings.TrimPrefix(path, "/v2")
	switch path {
	case "", "/":
		return base, "", ""
	case "/token":
		return token, "", ""
	case "/_catalog":
		return catalog, "", ""
	}
	path = strings.TrimPrefix(path, "/")
	for _, suffix := range []struct {
		text string
		what resource
	}{{"/tags/list", tags}, {"/blobs/uploads/", uploads}, {"/blobs/uploads", uploads}} {
		if name, ok := strings.CutSuffix(path, suffix.text); ok {
			return suffix.what, name, ""
		}
	}
	rest, ref, _ := cutLast(path, "/")
	for _, infix := range []struct {
		text string
		what resource
	}{{"/blobs/uploads", upload}, {"/blobs", blobs}, {"/manifests", manifest}, {"/referrers", referrers}} {
		if name, ok := strings.CutSuffix(rest, infix.text); ok && ref != "" {
			return infix.what, name, ref
		}
	}
	return "", "", ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

type handle func(h *Handler, w http.ResponseWriter, r *request) error

// routes are the methods of each resource.
func routes() map[resource]map[string]handle {
	return map[resource]map[string]handle{
		base:      {http.MethodGet: (*Handler).version, http.MethodHead: (*Handler).version},
		catalog:   {http.MethodGet: (*Handler).catalog},
		tags:      {http.MethodGet: (*Handler).tags},
		referrers: {http.MethodGet: (*Handler).referrers},
		manifest: {
			http.MethodGet: (*Handler).getManifest, http.MethodHead: (*Handler).getManifest,
			http.MethodPut: (*Handler).putManifest, http.MethodDelete: (*Handler).deleteManifest,
		},
		blobs: {http.MethodGet: (*Handler).getBlob, http.MethodHead: (*Handler).getBlob, http.MethodDelete: (*Handler).deleteBlob},
		uploads: {
			http.MethodPost: (*Handler).beginUpload,
		},
		upload: {
			http.MethodGet: (*Handler).uploadStatus, http.MethodPatch: (*Handler).appendUpload,
			http.MethodPut: (*Handler).finishUpload, http.MethodDelete: (*Handler).cancelUpload,
		},
	}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	if h.cfg.Installation != "" {
		w.Header().Set(towpath.HeaderInstallation, h.cfg.Installation)
	}
	w, req, end := h.pace(w, req)
	defer end()
	what, name, ref := parsePath(req.URL.Path)
	r := &request{Request: req, what: what, name: towpath.RepositoryName(name), ref: ref}
	if what == token {
		h.token(w, r)
		return
	}
	if err := h.authenticate(r); err != nil {
		h.challenge(w, r, err)
		return
	}
	methods := routes()[what]
	serve, ok := methods[req.Method]
	switch {
	case methods == nil:
		h.fail(w, r, towpath.E(towpath.KindNotFound, "ocidist.route", "nothing is served at %s", req.URL.Path).
			WithHint("paths are those of the OCI distribution specification"))
		return
	case !ok:
		allowed := []string{}
		for m := range methods {
			allowed = append(allowed, m)
		}
		slices.Sort(allowed)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeError(w, r, http.StatusMethodNotAllowed, registry.Unsupported, "the method "+req.Method+" is not served here", "")
		return
	}
	if err := serve(h, w, r); err != nil {
		h.fail(w, r, err)
	}
}

// version says that the specification is served here.
func (h *Handler) version(w http.ResponseWriter, r *request) error {
	return writeJSON(w, r, "application/json", struct{}{})
}
