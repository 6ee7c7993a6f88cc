package rest_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// TestRegistryCare: reading a whole database takes longer than a change with a key may,
// and who did not hear how it ended says it once more.
func TestRegistryCare(t *testing.T) {
	for path, method := range map[string]string{"/api/v1/registry/gc": "registry.CollectGarbage", "/api/v1/registry/scrub": "registry.Scrub"} {
		w := apitest.NewWorld()
		left := time.Duration(0)
		w.Fail = func(ctx context.Context, m string) error {
			if deadline, ok := ctx.Deadline(); ok && m == method {
				left = time.Until(deadline)
			}
			return nil
		}
		s := apitest.New(t, w)
		a := send(t, s, request{method: http.MethodPost, path: path, body: `{}`})
		if a.StatusCode != http.StatusOK || left < 20*time.Minute {
			t.Errorf("%s: %d %s, and it had %s", path, a.StatusCode, a.body, left)
		}
	}
}
