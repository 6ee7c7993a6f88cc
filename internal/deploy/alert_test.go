package deploy

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestSign(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		fires   time.Duration // before now
		pending string
		want    time.Duration // before now
	}{
		{"when it began to fire", 2 * time.Minute, "", 2 * time.Minute},
		{"when its condition came true", 2 * time.Minute, "5m", 7 * time.Minute},
		{"no later than now, of a clock that is ahead", -time.Hour, "", 0},
		{"when its condition came true, of a clock that is ahead", -time.Minute, "5m", 4 * time.Minute},
	} {
		a := towpath.Alert{StartsAt: now.Add(-c.fires), Labels: map[string]string{"towpath_for": c.pending}}
		if got := now.Sub(sign(a, now)); got != c.want {
			t.Errorf("%s: %s ago, want %s", c.name, got, c.want)
		}
	}
}
