package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// connect is a client that hurries.
func connect(t *testing.T, url string, change ...func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{URL: url, Token: apitest.Token, Backoff: reconcile.Backoff{Base: time.Millisecond, Cap: 5 * time.Millisecond}}
	for _, f := range change {
		f(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// lossy loses the first answers to requests that it has delivered.
type lossy struct {
	lose int32
	keys []string
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	l.keys = append(l.keys, r.Header.Get(api.HeaderIdempotencyKey))
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && atomic.AddInt32(&l.lose, -1) >= 0 {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, err
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  client.Config
		ok   bool
	}{
		{"takes http on loopback", client.Config{URL: "http://127.0.0.1:1", Token: "x"}, true},
		{"takes https elsewhere", client.Config{URL: "https://towpath.example.com", Token: "x"}, true},
		{"refuses to send a token without TLS to another machine", client.Config{URL: "http://towpath.example.com", Token: "x"}, false},
		{"refuses a user name in the URL", client.Config{URL: "http://ana:s3cret@127.0.0.1:1"}, false},
		{"refuses what is no URL", client.Config{URL: "127.0.0.1:7171"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := client.New(tt.cfg)
			if (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

func TestToken(t *testing.T) {
	t.Run("redacts itself", func(t *testing.T) {
		secret := client.Token("s3cret")
		cfg := client.Config{Token: secret}
		for _, got := range []string{fmt.Sprint(secret), fmt.Sprintf("%v %+v %#v %q", cfg, cfg, secret, secret), secret.LogValue().String()} {
			if strings.Contains(got, "s3cret") {
				t.Errorf("printed: %s", got)
			}
		}
	})
}

func TestRetries(t *testing.T) {
	world := func() *apitest.World {
		w := apitest.NewWorld()
		w.Status = []inventory.Status{{Project: "shop", Environment: "dev"}}
		return w
	}
	t.Run("repeat a change under one key, so that it is made once", func(t *testing.T) {
		w := world()
		s, l := apitest.New(t, w), &lossy{lose: 2}
		c := connect(t, s.URL, func(c *client.Config) { c.Transport = l })
		if _, err := c.CreateAccount(t.Context(), api.CreateAccount{Name: "bea"}); err != nil {
			t.Fatal(err)
		}
		if n := w.Called("accounts.Create"); n != 1 {
			t.Errorf("it was made %d times", n)
		}
		if len(l.keys) != 3 || l.keys[0] == "" || l.keys[0] != l.keys[2] {
			t.Errorf("keys %q", l.keys)
		}
	})
	t.Run("use another key for another change", func(t *testing.T) {
		s, l := apitest.New(t, world()), &lossy{}
		c := connect(t, s.URL, func(c *client.Config) { c.Transport = l })
		for range 2 {
			if err := c.Hold(t.Context(), "shop", "dev", "x"); err != nil {
				t.Fatal(err)
			}
		}
		if l.keys[0] == l.keys[1] {
			t.Error("the keys are the same")
		}
	})
	t.Run("wait for a server that is not available", func(t *testing.T) {
		w := world()
		var left atomic.Int32
		left.Store(3)
		w.Fail = func(_ context.Context, m string) error {
			if m == "promotions.Hold" && left.Add(-1) >= 0 {
				return towpath.E(towpath.KindUnavailable, "test", "not now")
			}
			return nil
		}
		if err := connect(t, apitest.New(t, w).URL).Hold(t.Context(), "shop", "dev", "x"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("end after some attempts", func(t *testing.T) {
		w := world()
		w.Fail = func(context.Context, string) error { return towpath.E(towpath.KindUnavailable, "test", "not now") }
		c := connect(t, apitest.New(t, w).URL, func(c *client.Config) { c.Attempts = 3 })
		err := c.Hold(t.Context(), "shop", "dev", "x")
		if towpath.KindOf(err) != towpath.KindUnavailable || w.Called("accounts.Authenticate") != 3 {
			t.Errorf("%v after %d attempts", err, w.Called("accounts.Authenticate"))
		}
	})
	t.Run("are not made when they can't help", func(t *testing.T) {
		w := apitest.NewWorld()
		err := connect(t, apitest.New(t, w).URL).Hold(t.Context(), "shop", "nowhere", "x")
		if towpath.KindOf(err) != towpath.KindNotFound || w.Called("promotions.Hold") != 1 {
			t.Errorf("%v after %d calls", err, w.Called("promotions.Hold"))
		}
	})
	t.Run("open an upload anew", func(t *testing.T) {
		w := world()
		s, l := apitest.New(t, w), &lossy{lose: 1}
		c := connect(t, s.URL, func(c *client.Config) { c.Transport = l })
		content := []byte("hello")
		opened := 0
		open := func() (io.ReadCloser, error) { opened++; return io.NopCloser(bytes.NewReader(content)), nil }
		if err := c.PutBlob(t.Context(), "shop", towpath.DigestOf(content), 5, open); err != nil {
			t.Fatal(err)
		}
		if size, err := c.HasBlob(t.Context(), "shop", towpath.DigestOf(content)); err != nil || size != 5 || opened != 2 {
			t.Errorf("%d bytes, opened %d times, %v", size, opened, err)
		}
	})
	t.Run("end with the caller's context", func(t *testing.T) {
		w := world()
		ctx, cancel := context.WithCancel(t.Context())
		w.Fail = func(context.Context, string) error {
			cancel()
			return towpath.E(towpath.KindUnavailable, "test", "not now")
		}
		if err := connect(t, apitest.New(t, w).URL).Hold(ctx, "shop", "dev", "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestErrors(t *testing.T) {
	t.Run("carry kind, message, hint and request ID", func(t *testing.T) {
		w := apitest.NewWorld()
		w.Fail = func(_ context.Context, m string) error {
			if m == "inventory.Status" {
				return towpath.E(towpath.KindForbidden, "access", "ana may not look").WithHint("ask an admin").WithCause(errors.New("s3cret"))
			}
			return nil
		}
		_, err := connect(t, apitest.New(t, w).URL).Status(t.Context(), "shop", "")
		var e *towpath.Error
		if !errors.As(err, &e) || e.Kind != towpath.KindForbidden || e.Message != "ana may not look" || e.Hint != "ask an admin" || e.Fields[api.FieldRequestID] == "" {
			t.Errorf("got %#v", err)
		}
	})
	t.Run("of a server that is not there say what to check, without the token", func(t *testing.T) {
		s := httptest.NewServer(nil)
		s.Close()
		_, err := connect(t, s.URL).Me(t.Context())
		_, hint := towpath.PublicMessage(err)
		if towpath.KindOf(err) != towpath.KindUnavailable || !strings.Contains(hint, "towpath dev") || strings.Contains(err.Error(), apitest.Token) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("of something that is not towpath say so", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		defer s.Close()
		_, err := connect(t, s.URL).Me(t.Context())
		if _, hint := towpath.PublicMessage(err); towpath.KindOf(err) != towpath.KindNotFound || !strings.Contains(hint, "towpath server") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("of the registry tell what it says", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(api.HeaderRequestID, "req")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"vic may not push: ask an admin"}]}`)
		}))
		defer s.Close()
		a, err := oci.AttachSBOM(oci.Blob{Digest: towpath.DigestOf([]byte("a release")), Size: 9}, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		err = connect(t, s.URL).Attach(t.Context(), "shop", a)
		if message, _ := towpath.PublicMessage(err); towpath.KindOf(err) != towpath.KindForbidden || message != "vic may not push: ask an admin" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("stop a redirect, which would carry the token elsewhere", func(t *testing.T) {
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
		defer elsewhere.Close()
		s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
		defer s.Close()
		if _, err := connect(t, s.URL).Me(t.Context()); err == nil {
			t.Error("no error")
		}
	})
	t.Run("tell an export that was cut off", func(t *testing.T) {
		w := apitest.NewWorld()
		w.Export = bytes.Repeat([]byte("{}\n"), 100_000)
		w.Fail = func(_ context.Context, m string) error {
			if m == "audit.Export.after" {
				return errors.New("the disk is gone")
			}
			return nil
		}
		var got bytes.Buffer
		if err := connect(t, apitest.New(t, w).URL).Export(t.Context(), &got); err == nil {
			t.Errorf("%d bytes pass for a whole export", got.Len())
		}
	})
}
