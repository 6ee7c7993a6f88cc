package server

import (
	"context"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/store"
)

func TestServer_FlagsWhatHasExpired(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	if got := h.status("dev"); got.Expired || !got.Expires.IsZero() {
		t.Errorf("without a rule it expires at %s", got.Expires)
	}
	takesUpTo := func(age time.Duration) {
		must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			env, err := tx.LockEnvironment(ctx, shop, "dev")
			if err != nil {
				return err
			}
			env.Rules.Gates.Age = age
			return tx.SaveEnvironment(ctx, env)
		}))
	}
	takesUpTo(time.Hour)
	if got := h.status("dev"); got.Expired || time.Until(got.Expires) < 30*time.Minute {
		t.Errorf("it expired at %s", got.Expires)
	}
	takesUpTo(time.Nanosecond)
	if got := h.status("dev"); !got.Expired {
		t.Errorf("it has not expired: %s", got.Expires)
	}
}
