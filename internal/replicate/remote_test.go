package replicate_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

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

func TestLogin_HidesItself(t *testing.T) {
	l := replicate.Login{User: "bob", Password: "s3cret"}
	if text := fmt.Sprintf("%v %+v %#v %s", l, l, l, l); strings.Contains(text, "s3cret") || strings.Contains(text, "bob") {
		t.Error(text)
	}
}
