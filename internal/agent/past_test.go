package agent

import (
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

func TestPast(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	at := func(s int) towpath.TrafficCount {
		return towpath.TrafficCount{At: noon.Add(time.Duration(s) * time.Second), Revisions: []towpath.RevisionCount{{Revision: "r", Requests: uint64(s)}}}
	}
	t.Run("keeps each second of a minute, and each tenth of ten", func(t *testing.T) {
		var p past
		for s := range 2000 {
			p = p.add(at(s))
		}
		var seconds []int
		for i := len(p) - 1; i > 0; i-- {
			seconds = append(seconds, int(p[i].At.Sub(p[i-1].At)/time.Second))
		}
		if first := p[0].At; p[len(p)-1].At.Sub(first) > 10*time.Minute || p[len(p)-1].At.Sub(first) < 10*time.Minute-10*time.Second {
			t.Errorf("it goes back %s", p[len(p)-1].At.Sub(first))
		}
		for i, s := range seconds {
			switch {
			case i < 60 && s != 1, i > 60 && s != 10, i == 60 && s > 20:
				t.Fatalf("the %dth before is %d s apart: %v", i, s, seconds)
			}
		}
		if n := len(p); n > 120 {
			t.Errorf("%d are kept", n)
		}
	})
	t.Run("one of the same moment takes the place of the first", func(t *testing.T) {
		p := past{}.add(at(1)).add(at(2)).add(at(2))
		if len(p) != 2 {
			t.Errorf("%+v", p)
		}
	})
	t.Run("a clock that goes back begins anew", func(t *testing.T) {
		p := past{}.add(at(1)).add(at(20)).add(at(2))
		if len(p) != 1 || p[0].Revisions[0].Requests != 2 {
			t.Errorf("%+v", p)
		}
	})
	t.Run("what is told is marked, and what is kept is not", func(t *testing.T) {
		p := past{}.add(at(1)).add(at(2))
		told := p.add(at(3)).before(at(3).At)
		if len(told) != 2 || !told[0].Before || !told[1].Before || p[0].Before {
			t.Errorf("%+v of %+v", told, p)
		}
	})
}
