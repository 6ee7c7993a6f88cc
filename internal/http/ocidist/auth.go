package ocidist

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

const (
	maxSecret = 512 // bytes
	maxForm   = 16 << 10
	// tokenFor is how long clients may use the answer of the token endpoint
	// before they ask again. It is the token that they sent, which may be
	// revoked or expire at any time; every request checks it.
	tokenFor = 5 * time.Minute
)

// secretOf is the token that a request carries: as the password of any user, or
// as a bearer token.
func secretOf(req *http.Request) string {
	if _, password, ok := req.BasicAuth(); ok {
		return password
	}
	scheme, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(secret)
	}
	return ""
}

// authenticate finds out who makes a request.
func (h *Handler) authenticate(r *request) error {
	secret := secretOf(r.Request)
	if secret == "" || len(secret) > maxSecret {
		return towpath.E(towpath.KindUnauthenticated, "ocidist.authenticate", "the request has no token").
			WithHint("log in with any user name and a token of Towpath as the password; `towpath token create` makes one")
	}
	var err error
	if r.actor, err = h.accounts.Authenticate(r.Context(), secret); err != nil {
		return err
	}
	r.actor.RequestID = h.cfg.RequestID(r.Context())
	return nil
}

// challenge answers who is not authenticated with where to get a token. Any
// other error is answered as such.
func (h *Handler) challenge(w http.ResponseWriter, r *request, err error) {
	if towpath.KindOf(err) == towpath.KindUnauthenticated {
		value := `Bearer realm="` + origin(r.Request) + `/v2/token",service="` + quoted(r.Host) + `"`
		if scope := scopeOf(r); scope != "" {
			value += `,scope="` + scope + `"`
		}
		if secretOf(r.Request) != "" {
			value += `,error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", value)
	}
	h.fail(w, r, err)
}

// origin is how the client reached this server: a proxy in front of it that has
// the TLS says so.
func origin(req *http.Request) string {
	scheme := "http"
	if req.TLS != nil || strings.EqualFold(req.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + quoted(req.Host)
}

// quoted leaves out what would end a quoted string.
func quoted(s string) string { return strings.NewReplacer(`"`, "", `\`, "").Replace(s) }

// scopeOf is what the request would need, in the words of the token protocol.
func scopeOf(r *request) string {
	if r.what == catalog {
		return "registry:catalog:*"
	}
	if !r.name.Valid() {
		return ""
	}
	actions := "pull,push"
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		actions = "pull"
	case http.MethodDelete:
		actions = "delete"
	}
	scope := "repository:" + string(r.name) + ":" + actions
	if from := towpath.RepositoryName(r.URL.Query().Get("from")); from != "" && from.Valid() {
		scope += " repository:" + string(from) + ":pull"
	}
	return scope
}

// tokenAnswer is the answer of the token endpoint, in the words of both of its
// specifications.
type tokenAnswer struct {
	Token        string    `json:"token"`
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	ExpiresIn    int       `json:"expires_in"` // seconds
	IssuedAt     time.Time `json:"issued_at"`
}

// token gives who logs in the token to go on with: the one that was sent, once
// it is known to be valid. What it is good for is decided with every request,
// by the roles that its account has then.
func (h *Handler) token(w http.ResponseWriter, r *request) {
	var secret string
	switch r.Method {
	case http.MethodGet:
		secret = secretOf(r.Request)
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			writeError(w, r, http.StatusBadRequest, registry.Unsupported, "the form can't be read", "")
			return
		}
		if secret = r.PostForm.Get("refresh_token"); secret == "" {
			secret = r.PostForm.Get("password")
		}
		if secret == "" {
			secret = secretOf(r.Request)
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		writeError(w, r, http.StatusMethodNotAllowed, registry.Unsupported, "the method "+r.Method+" is not served here", "")
		return
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	if err := h.authenticate(r); err != nil {
		if towpath.KindOf(err) == towpath.KindUnauthenticated {
			w.Header().Set("WWW-Authenticate", `Basic realm="towpath"`)
		}
		h.fail(w, r, err)
		return
	}
	answer := tokenAnswer{Token: secret, AccessToken: secret, ExpiresIn: int(tokenFor.Seconds()), IssuedAt: h.cfg.Now().UTC()}
	if r.Method == http.MethodPost || r.URL.Query().Get("offline_token") == "true" {
		answer.RefreshToken = secret
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone
}
