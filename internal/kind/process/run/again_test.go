package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestRunner_SaysWhatDiesAgainAndAgain: between two of its ends an instance is healthy, and
// whoever looks then has to hear of them.
func TestRunner_SaysWhatDiesAgainAndAgain(t *testing.T) {
	h := newHand(t)
	now := time.Now()
	h.r = h.at(func() time.Time { return now })
	h.up(one)
	healthy := func() (detail string) {
		t.Helper()
		h.eventually("it is healthy", func() bool {
			o := h.observed()
			detail = o.Detail
			return o.Health == towpath.HealthHealthy
		})
		return detail
	}
	kept := func(starts int) { // the shim of what was killed may still be ending
		t.Helper()
		now = now.Add(2 * time.Minute)
		h.eventually("it is started again", func() bool {
			h.must(h.r.Keep(t.Context()))
			return h.Starts(t, one) == starts
		})
	}
	for n := range 3 {
		if d := healthy(); d != "" {
			t.Errorf("after %d ends: %q", n, d)
		}
		h.Kill(t, one)
		kept(n + 2)
	}
	want := "instance 0 was started again 3 times in a row, the last time because it was ended by the signal killed"
	if d := healthy(); d != want {
		t.Errorf("says %q, want %q", d, want)
	}
	h.Kill(t, one)
	if d := h.observed().Detail; !strings.HasPrefix(d, "0 of 1 instances healthy: ") || !strings.HasSuffix(d, want) {
		t.Errorf("says %q", d)
	}
	kept(5)
	now = now.Add(7 * time.Minute)
	if d := healthy(); d != "" {
		t.Errorf("says %q of one that has lived for long", d)
	}
}
