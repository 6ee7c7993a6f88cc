package replicate_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// TestRemote_ThisMachine: a registry on this machine needs no TLS and no word about
// that, and nobody elsewhere hears a login because of it.
func TestRemote_ThisMachine(t *testing.T) {
	s := story(t)
	bob := func(context.Context, string) (replicate.Login, error) {
		return replicate.Login{User: "bob", Password: "s3cret"}, nil
	}
	remote := func(host string, transport http.RoundTripper) *replicate.Remote {
		return must(replicate.NewRemote(replicate.RemoteConfig{Repository: host + "/shop", Login: bob, Transport: transport}))(t)
	}
	t.Run("is spoken to without TLS when it has none, also with a login", func(t *testing.T) {
		var logins atomic.Int64
		f := newForeign(t, true, func(w http.ResponseWriter, r *http.Request) bool {
			if user, password, _ := r.BasicAuth(); user == "bob" && password == "s3cret" {
				logins.Add(1)
				return false
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		graph := must(replicate.Walk(t.Context(), s, s.root, quick()))(t)
		to := remote(f.host, nil)
		must(replicate.Copy(t.Context(), s, to, graph, quick()))(t)
		if has, err := to.HasManifest(t.Context(), s.root); err != nil || !has || logins.Load() == 0 {
			t.Errorf("it has it: %t, %v; %d logins", has, err, logins.Load())
		}
	})
	t.Run("goes on with an upload where it says, by its whole address", func(t *testing.T) {
		var got []string
		here := roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.URL.Scheme == "https" {
				return nil, tls.RecordHeaderError{RecordHeader: [5]byte([]byte("HTTP/"))}
			}
			got = append(got, req.Method+" "+req.URL.String())
			resp := httptest.NewRecorder()
			resp.Header().Set("Location", "http://localhost:5000/v2/shop/blobs/uploads/1")
			resp.WriteHeader(map[string]int{http.MethodPost: http.StatusAccepted, http.MethodPut: http.StatusCreated}[req.Method])
			return resp.Result(), nil
		})
		d := v1.Descriptor{Digest: digest.FromString("x"), Size: 1}
		open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
		must(0, remote("localhost:5000", here).PutBlob(t.Context(), d, open))(t)
		want := []string{"POST http://localhost:5000/v2/shop/blobs/uploads/", "PUT http://localhost:5000/v2/shop/blobs/uploads/1?digest=" + url.QueryEscape(string(d.Digest))}
		if !slices.Equal(got, want) {
			t.Errorf("it was asked %q, want %q", got, want)
		}
	})
	t.Run("is spoken to with TLS when it has that", func(t *testing.T) {
		var asked atomic.Int64
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusNotFound)
		}))
		t.Cleanup(srv.Close)
		has, err := remote(strings.TrimPrefix(srv.URL, "https://"), srv.Client().Transport).HasManifest(t.Context(), s.root)
		if has || err != nil || asked.Load() == 0 {
			t.Errorf("it has it: %t, %v; asked %d times", has, err, asked.Load())
		}
	})
	t.Run("leads no login to another machine without TLS", func(t *testing.T) {
		var told atomic.Int64
		f := newForeign(t, true, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://tokens.example/token",service="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		far := roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.URL.Hostname() == "tokens.example" {
				told.Add(1)
				return nil, errors.New("it was told")
			}
			return http.DefaultTransport.RoundTrip(req)
		})
		_, err := remote(f.host, far).HasManifest(t.Context(), s.root)
		if m, _ := towpath.PublicMessage(err); told.Load() > 0 || !strings.Contains(m, "leads to another one without TLS") {
			t.Errorf("told %d times, and says %q", told.Load(), m)
		}
	})
}
