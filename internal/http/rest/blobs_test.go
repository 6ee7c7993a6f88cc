package rest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

func TestBlobs(t *testing.T) {
	s := apitest.New(t, apitest.NewWorld(), func(c *rest.Config, _ *rest.Deps) { c.MaxBlob = 1000 })
	path := func(content string) string {
		return "/api/v1/projects/shop/blobs/" + string(towpath.DigestOf([]byte(content)))
	}
	raw := map[string]string{"Content-Type": "application/octet-stream"}
	t.Run("stores a blob without an idempotency key, again and again", func(t *testing.T) {
		for range 2 {
			if a := send(t, s, request{method: http.MethodPut, path: path("hello"), body: "hello", header: raw}); a.StatusCode != http.StatusCreated {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
		}
	})
	t.Run("tells its size", func(t *testing.T) {
		if a := send(t, s, request{method: http.MethodHead, path: path("hello")}); a.StatusCode != http.StatusOK || a.ContentLength != 5 {
			t.Errorf("%d, %d bytes", a.StatusCode, a.ContentLength)
		}
		if a := send(t, s, request{method: http.MethodHead, path: path("other")}); a.StatusCode != http.StatusNotFound {
			t.Errorf("%d for one that is absent", a.StatusCode)
		}
	})
	t.Run("refuses other bytes than the digest says", func(t *testing.T) {
		if a := send(t, s, request{method: http.MethodPut, path: path("hello"), body: "hullo", header: raw}); a.problem(t).Kind != towpath.KindInvalid {
			t.Errorf("%d", a.StatusCode)
		}
	})
	t.Run("refuses one that is too large", func(t *testing.T) {
		big := strings.Repeat("x", 1001)
		if a := send(t, s, request{method: http.MethodPut, path: path(big), body: big, header: raw}); a.StatusCode != http.StatusRequestEntityTooLarge || a.problem(t).Kind != towpath.KindExhausted {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	})
	t.Run("refuses one that is too large and does not say so", func(t *testing.T) {
		big := strings.Repeat("x", 1001)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+path(big), struct{ *strings.Reader }{strings.NewReader(big)})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = -1
		req.Header.Set("Authorization", "Bearer "+apitest.Token)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d", resp.StatusCode)
		}
	})
}
