package resolve_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/resolve"
	"github.com/towpath/towpath/internal/towpath"
)

// site is example.com: a registry of modules with TLS on port 443, and the same
// host without on port 80.
type site struct {
	*http.Transport
	discovery string // what the registry says where its modules are
	redirect  string // where its list of versions is, if it is not there

	mu    sync.Mutex
	clear []string // what came without TLS: the path, and the credential
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	answer := func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			s.mu.Lock()
			s.clear = append(s.clear, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Authorization")))
			s.mu.Unlock()
		}
		switch {
		case r.URL.Path == "/.well-known/terraform.json":
			_, _ = fmt.Fprintf(w, `{"modules.v1": %q}`, s.discovery)
		case r.TLS != nil && s.redirect != "":
			http.Redirect(w, r, s.redirect, http.StatusFound)
		default:
			_, _ = fmt.Fprint(w, `{"modules": [{"versions": [{"version": "3.1.0"}]}]}`)
		}
	}
	secure, plain := httptest.NewTLSServer(http.HandlerFunc(answer)), httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	to := map[string]string{"example.com:443": secure.Listener.Addr().String(), "example.com:80": plain.Listener.Addr().String()}
	s.Transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, to[address])
		},
	}
	return s
}

// resolve asks for a module of the site, with a token for it or without.
func (s *site) resolve(t *testing.T, token string) (towpath.Pin, error) {
	t.Helper()
	r, err := resolve.New(resolve.Config{
		DockerConfig: filepath.Join(t.TempDir(), "config.json"), Transport: s,
		Getenv: func(k string) string { return map[string]string{"TF_TOKEN_example_com": token}[k] },
	})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := pin.Module("example.com/net/vpc/aws", "~> 3.0")
	if err != nil {
		t.Fatal(err)
	}
	return r.Resolve(t.Context(), ref)
}

// A token is for a host, and for nobody on the way there: whatever the registry
// says, it is sent with TLS or not at all.
func TestResolver_TokensAreSentWithTLSOnly(t *testing.T) {
	for _, tt := range []struct {
		name, discovery, redirect string
		refused                   bool
	}{
		{name: "to where the registry says, with TLS", discovery: "https://example.com/modules/"},
		{name: "not to its own host without", discovery: "http://example.com/modules/", refused: true},
		{name: "nor where it redirects to", discovery: "/modules/", redirect: "http://example.com/elsewhere", refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.discovery, s.redirect = tt.discovery, tt.redirect
			got, err := s.resolve(t, "secret")
			message, hint := towpath.PublicMessage(err)
			switch {
			case !tt.refused && (err != nil || got.Version != "3.1.0"):
				t.Errorf("%v, %v", got, err)
			case tt.refused && (towpath.KindOf(err) != towpath.KindDenied || !strings.Contains(message, "http://example.com") || hint == ""):
				t.Errorf("%v, %v", got, err)
			}
			if len(s.clear) > 0 {
				t.Errorf("without TLS came %q", s.clear)
			}
		})
	}
	t.Run("who has no token is led anywhere", func(t *testing.T) {
		s := newSite(t)
		s.discovery = "http://example.com/modules/"
		if got, err := s.resolve(t, ""); err != nil || got.Version != "3.1.0" || !slices.Equal(s.clear, []string{"/modules/net/vpc/aws/versions"}) {
			t.Errorf("%v, %v; without TLS came %q", got, err, s.clear)
		}
	})
	t.Run("nobody is led in circles", func(t *testing.T) {
		s := newSite(t)
		s.discovery, s.redirect = "/modules/", "/modules/again"
		if _, err := s.resolve(t, "secret"); towpath.KindOf(err) != towpath.KindUnavailable {
			t.Errorf("%v", err)
		}
	})
}
