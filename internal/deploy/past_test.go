package deploy

import (
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// TestSpaced chooses of what an agent keeps: each second of a minute, each tenth
// second of ten minutes.
func TestSpaced(t *testing.T) {
	down := func(from, to, step int) (out []int) { // seconds before the rollout
		for s := from; s >= to; s -= step {
			out = append(out, s)
		}
		return out
	}
	kept := slices.Concat(down(600, 70, 10), down(60, 1, 1))
	for name, tt := range map[string]struct {
		interval time.Duration
		have     []int
		want     []int
	}{
		"seconds": {time.Second, kept, down(60, 1, 1)},
		// A tenth of an interval early is on time, as it is during the rollout.
		"tens of seconds":                   {10 * time.Second, kept, slices.Concat(down(600, 70, 10), down(55, 10, 9))},
		"fives, and then tens":              {5 * time.Second, kept, slices.Concat(down(540, 70, 10), down(60, 5, 5))},
		"minutes":                           {time.Minute, kept, slices.Concat(down(590, 110, 60), []int{55})},
		"what is long before is not beside": {time.Second, down(600, 30, 1), nil},
		"a gap ends it":                     {time.Second, []int{20, 19, 18, 3, 2, 1}, []int{3, 2, 1}},
		"a gap of three does not":           {time.Second, []int{6, 3, 2, 1}, []int{6, 3, 2, 1}},
		"none":                              {time.Second, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
			var past []towpath.TrafficCount
			for _, s := range tt.have {
				past = append(past, towpath.TrafficCount{At: now.Add(-time.Duration(s) * time.Second)})
			}
			var got []int
			for _, c := range spaced(past, now.Add(-50*time.Millisecond), tt.interval) {
				got = append(got, int(now.Sub(c.At)/time.Second))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}
