package analysis

import "testing"

// TestRow_IsNews: bad of 20 requests of the canary in each interval, -1 for an
// interval without requests, beside a silent baseline.
func TestRow_IsNews(t *testing.T) {
	for name, tc := range map[string]struct {
		baseline, before float64
		bad              []float64
		want             bool
	}{
		"one interval is a coincidence":            {180, 0, []float64{10}, false},
		"all of one interval too":                  {180, 0, []float64{20}, false},
		"two in a row are none":                    {180, 0, []float64{10, 10}, true},
		"also with few in the first":               {180, 0, []float64{2, 10}, true},
		"also with none to see between them":       {180, 0, []float64{10, -1, 10}, true},
		"a good one between them begins anew":      {180, 0, []float64{10, 0, 10}, false},
		"two at half of the traffic are one":       {20, 0, []float64{10, 10}, false},
		"three at half of the traffic are none":    {20, 0, []float64{10, 10, 10}, true},
		"one after a minute of silence":            {180, 60, []float64{10}, true},
		"one when the minute is long ago":          {180, 60, []float64{0, 0, 0, 0, 0, 0, 10}, false},
		"a minute of little traffic is no silence": {20, 60, []float64{10}, false},
	} {
		t.Run(name, func(t *testing.T) {
			const budget, risk = 0.01, 0.01 / 3
			var r row
			seen := pair{baseline: count{total: tc.before * tc.baseline}}
			news := false
			for _, bad := range tc.bad {
				now := pair{count{bad, 20}, count{0, tc.baseline}}
				if bad < 0 {
					now.canary = count{}
				}
				seen = seen.plus(now)
				r.next(now.canary)
				news = r.isNews(seen, now, budget, risk)
			}
			if news != tc.want {
				t.Errorf("news is %v", news)
			}
		})
	}
}
