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

// takesUpTo has dev take releases of up to an age.
func (h *harness) takesUpTo(age time.Duration) {
	h.t.Helper()
	must(h.t, 0, h.s.store.Update(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		env, err := tx.LockEnvironment(ctx, shop, "dev")
		if err != nil {
			return err
		}
		env.Rules.Gates.Age = age
		return tx.SaveEnvironment(ctx, env)
	}))
}

func TestServer_FlagsWhatHasExpired(t *testing.T) {
	h := newHarness(t)
	h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	if got := h.status("dev"); got.Expired || !got.Expires.IsZero() {
		t.Errorf("without a rule it expires at %s", got.Expires)
	}
	h.takesUpTo(time.Hour)
	if got := h.status("dev"); got.Expired || time.Until(got.Expires) < 30*time.Minute {
		t.Errorf("it expired at %s", got.Expires)
	}
	h.takesUpTo(time.Nanosecond)
	if got := h.status("dev"); !got.Expired {
		t.Errorf("it has not expired: %s", got.Expires)
	}
}

// TestServer_AReleaseIsAsOldAsItsContent: another version of the same content is
// the same release, so it is no younger, neither for the gate nor where it runs.
func TestServer_AReleaseIsAsOldAsItsContent(t *testing.T) {
	h := newHarness(t)
	first := h.publish("1.0.0", "one")
	h.runs("dev", "1.0.0")
	again := h.publish("1.1.0", "one")
	h.runs("dev", "1.1.0")
	if again.Release != first.Release || !again.Published.After(first.Published) {
		t.Fatalf("%s of %s, then %s of %s", first.Release, first.Published, again.Release, again.Published)
	}
	h.takesUpTo(time.Hour)
	if got, want := h.status("dev").Expires, first.Published.Add(time.Hour); got.Sub(want).Abs() > time.Millisecond {
		t.Errorf("it expires at %s, not at %s", got, want)
	}

	h.takesUpTo(time.Nanosecond)
	third := h.publish("1.2.0", "one")
	h.takesUpTo(third.Published.Sub(first.Published))
	preview, err := h.svc.Promotions.Preview(t.Context(), h.ana, promote.Request{Project: shop, Environment: "dev", Release: "1.2.0"})
	must(t, 0, err)
	i := slices.IndexFunc(preview.Verdicts, func(v towpath.Verdict) bool { return v.Gate == towpath.GateAge })
	if v := preview.Verdicts[i]; v.Outcome != towpath.Deny {
		t.Errorf("%s: %v", v.Outcome, v.Reasons)
	}
}
