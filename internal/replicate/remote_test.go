package replicate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// TestRemote_KeepsThePassword: without TLS no password goes to another machine,
// whoever asks for it.
func TestRemote_KeepsThePassword(t *testing.T) {
	var asked, told atomic.Int64
	f := newForeign(t, true, func(w http.ResponseWriter, r *http.Request) bool {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			told.Add(1)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	remote := func(host string) *replicate.Remote {
		return must(replicate.NewRemote(replicate.RemoteConfig{
			Repository: host + "/shop", PlainHTTP: true,
			Login: func(context.Context, string) (replicate.Login, error) {
				return replicate.Login{User: "bob", Password: "s3cret"}, nil
			},
			Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, f.host) // whatever the name
			}},
		}))(t)
	}
	s := story(t)
	_, err := remote("registry.example").HasManifest(t.Context(), s.root)
	if kindIs(t, err, towpath.KindInvalid); asked.Load() == 0 || told.Load() != 0 {
		t.Errorf("asked %d times, told %d times", asked.Load(), told.Load())
	}
	t.Run("and to this machine it does", func(t *testing.T) {
		_, err := remote("localhost:5000").HasManifest(t.Context(), s.root)
		if kindIs(t, err, towpath.KindUnauthenticated); told.Load() == 0 {
			t.Error("it was not told")
		}
	})
}

// TestRemote_SaysThatThereIsNoTLS: who forgets --plain-http hears of it, also where
// only the message of an error is kept, as of a rule.
func TestRemote_SaysThatThereIsNoTLS(t *testing.T) {
	s := story(t)
	asked := func(host string) (message, hint string) {
		t.Helper()
		_, err := must(replicate.NewRemote(replicate.RemoteConfig{Repository: host + "/shop"}))(t).HasManifest(t.Context(), s.root)
		return towpath.PublicMessage(err)
	}
	t.Run("of a registry that answers in clear text", func(t *testing.T) {
		if message, _ := asked(newForeign(t, true, nil).host); !strings.Contains(message, "speaks no TLS, and was not named with --plain-http") {
			t.Errorf("it says %q", message)
		}
	})
	for name, answer := range map[string]string{"of one that says something else": "no such method here", "of one that hangs up": ""} {
		t.Run(name, func(t *testing.T) {
			l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = c.Read(make([]byte, 1<<10))
					_, _ = c.Write([]byte(answer))
					_ = c.Close()
				}
			}()
			if message, hint := asked(l.Addr().String()); !strings.Contains(message+" "+hint, "--plain-http") {
				t.Errorf("it says %q, %q", message, hint)
			}
		})
	}
}

func TestLogin_HidesItself(t *testing.T) {
	l := replicate.Login{User: "bob", Password: "s3cret"}
	if text := fmt.Sprintf("%v %+v %#v %s", l, l, l, l); strings.Contains(text, "s3cret") || strings.Contains(text, "bob") {
		t.Error(text)
	}
}

// TestRemote_Referrers_bytes: a registry that never ends its list takes no memory
// for it: nothing is kept that nobody needs, and reading ends.
func TestRemote_Referrers_bytes(t *testing.T) {
	s := story(t)
	long := strings.Repeat("x", 100_000)
	list := func(mediaType string) (*replicate.Remote, *atomic.Int64) {
		var pages atomic.Int64
		f := newForeign(t, true, func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			n := pages.Add(1)
			if n < 50 {
				w.Header().Set("Link", fmt.Sprintf(`<%s?last=%d>; rel="next"`, r.URL.Path, n))
			}
			w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
			_ = json.NewEncoder(w).Encode(v1.Index{Versioned: specsVersion(), Manifests: []v1.Descriptor{{
				MediaType: mediaType, Digest: digest.FromString(fmt.Sprint(n)), Size: 7, Annotations: map[string]string{"a": long},
			}}})
			return true
		})
		return must(replicate.NewRemote(replicate.RemoteConfig{
			Repository: f.host + "/shop", PlainHTTP: true, Limits: replicate.Limits{List: 2_000_000},
		}))(t), &pages
	}
	r, pages := list(v1.MediaTypeImageManifest)
	_, err := r.Referrers(t.Context(), s.root)
	if kindIs(t, err, towpath.KindExhausted); pages.Load() != 20 {
		t.Errorf("read %d pages", pages.Load())
	}
	r, pages = list(long)
	_, err = r.Referrers(t.Context(), s.root)
	if kindIs(t, err, towpath.KindInvalid); pages.Load() != 1 {
		t.Errorf("read %d pages", pages.Load())
	}
	t.Run("what is kept has no annotations", func(t *testing.T) {
		f := newForeign(t, true, func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
			_ = json.NewEncoder(w).Encode(v1.Index{Versioned: specsVersion(), Manifests: []v1.Descriptor{{
				MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("1"), Size: 7, Annotations: map[string]string{"a": long},
			}}})
			return true
		})
		all := must(f.repository("shop").Referrers(t.Context(), s.root))(t)
		if len(all) != 1 || all[0].Annotations != nil {
			t.Errorf("got %v", all)
		}
	})
}
