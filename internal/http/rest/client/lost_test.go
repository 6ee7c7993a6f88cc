package client_test

import (
	"context"
	"testing"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

// TestClient_findsWhatWasMade loses the server's answer together with the
// server, after the change: the client repeats the request and finds out.
func TestClient_findsWhatWasMade(t *testing.T) {
	w := apitest.NewWorld()
	w.Promotions = []towpath.Promotion{{ID: "prm_1", Project: "shop", Environment: "prod"}}
	w.Deployments = []towpath.Deployment{{ID: "dep_1", Project: "shop", Environment: "prod", Version: "1.0.0", PreviousVersion: "1.1.0"}}
	w.Fail = func(_ context.Context, m string) error {
		if m == "promotions.Request" || m == "deploys.Rollback" {
			return towpath.E(towpath.KindUnavailable, "test", "the connection was lost while committing")
		}
		return nil
	}
	s := apitest.New(t, w)
	c := connect(t, s.URL)

	t.Run("a promotion", func(t *testing.T) {
		s.Idempotency.Made = "prm_1"
		p, err := c.Promote(t.Context(), "shop", api.Promote{Release: "1.1.0", Environment: "prod"})
		if err != nil || p.ID != "prm_1" || s.Called("promotions.Request") != 1 {
			t.Errorf("%+v %v after %d calls", p, err, s.Called("promotions.Request"))
		}
	})
	t.Run("a rollback", func(t *testing.T) {
		s.Idempotency.Made = "dep_1"
		r, err := c.Rollback(t.Context(), "shop", "prod", api.Rollback{})
		if err != nil || r.Deployment == nil || r.ToVersion != "1.0.0" || r.FromVersion != "1.1.0" || s.Called("deploys.Rollback") != 1 {
			t.Errorf("%+v %v after %d calls", r, err, s.Called("deploys.Rollback"))
		}
	})
}
