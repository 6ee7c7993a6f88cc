package server

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
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

	// Another version of the same content is the same release, so it is as old:
	// for the gate as for what runs.
	first := h.status("dev").Expires
	again := h.publish("1.1.0", "one")
	if again.Release != h.status("dev").Release {
		t.Fatalf("the same content is another release: %s", again.Release)
	}
	if got := h.status("dev").Expires; !got.Equal(first) {
		t.Errorf("it expires at %s, and did at %s", got, first)
	}
	takesUpTo(again.Published.Sub(first))
	preview, err := h.svc.Promotions.Preview(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.1.0"})
	must(t, 0, err)
	i := slices.IndexFunc(preview.Verdicts, func(v towpath.Verdict) bool { return v.Gate == towpath.GateAge })
	if v := preview.Verdicts[i]; v.Outcome != towpath.Deny {
		t.Errorf("%s: %v", v.Outcome, v.Reasons)
	}
}
