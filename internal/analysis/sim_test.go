package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
)

func poisson(r *rand.Rand, mean float64) float64 {
	if mean > 500 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
	}
	n, p, limit := 0.0, r.Float64(), math.Exp(-mean)
	for p > limit {
		n++
		p *= r.Float64()
	}
	return n
}

func TestProto(t *testing.T) {
	for _, cfg := range []struct {
		c, b, p float64
		burst   float64
	}{
		{20, 180, .01, 1}, {20, 180, .01, 2}, {20, 180, .01, 5}, {20, 20, .01, 5}, {10, 90, .01, 5}, {10, 90, .003, 5}, {10, 190, .05, 5}, {50, 950, .01, 5}, {50, 950, .01, 2}, {100, 900, .05, 5}, {100, 900, .05, 1}, {20, 180, .001, 5}, {20, 380, .01, 5}, {20, 380, .003, 5}, {20, 380, .01, 2}, {20, 180, .003, 2}, {50, 450, .02, 5}, {50, 450, .02, 2}, {20, 60, .01, 5}, {20, 60, .01, 2},
	} {
		const runs = 100
		hit := 0
		when := 0
		for i := range runs {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			d := newDispersion()
			c := comparison{tolerance: 1, harm: 2}
			for k := range 200 {
				n1, n0 := poisson(r, cfg.c), poisson(r, cfg.b)
				p := pair{count{cfg.burst * poisson(r, n1*cfg.p/cfg.burst), n1}, count{cfg.burst * poisson(r, n0*cfg.p/cfg.burst), n0}}
				p.canary.bad = min(p.canary.bad, n1)
				p.baseline.bad = min(p.baseline.bad, n0)
				c.add(p)
				spread := c.seen.canary.plus(c.seen.baseline).rate()
				if weigh(c.worse[:], c.sceptic[:], worseStakes[:], d, c.seen, k+1, spread) > math.Log(3/.01/.8) {
					hit++
					when += k
					break
				}
				d.learn(p)
			}
		}
		t.Logf("%+v: %.2f %% (mean at %d)", cfg, 100*float64(hit)/runs, when/max(hit, 1))
	}
}
func TestProtoPower(t *testing.T) {
	for _, cfg := range []struct{ c, b, p0, p1, m float64 }{
		{20, 20, .01, .02, 1}, {20, 180, .01, .02, 1}, {20, 20, .05, .1, 1}, {20, 180, .05, .1, 1}, {100, 900, .01, .02, 1}, {100, 900, .05, .1, 1}, {20, 180, 0, .5, 1}, {20, 20, 0, .5, 1}, {20, 380, 0.003, .5, 1},
	} {
		for _, m := range []float64{1, 3} {
			alpha := .01 / m
			w := cfg.b / cfg.c
			za, zb := normalQuantile(1-alpha), .8416
			pb := (cfg.p1 + w*cfg.p0) / (1 + w)
			n := math.Pow(za*math.Sqrt(pb*(1-pb)*(1+1/w))+zb*math.Sqrt(cfg.p1*(1-cfg.p1)+cfg.p0*(1-cfg.p0)/w), 2) / (cfg.p1 - cfg.p0) / (cfg.p1 - cfg.p0)
			const runs = 500
			sum := 0.0
			first := 0
			for i := range runs {
				r := rand.New(rand.NewPCG(uint64(i), 7))
				d := newDispersion()
				c := comparison{tolerance: 1, harm: 2}
				l := limit{bound: .01}
				if cfg.p0 >= .01 {
					l.bound = .15
				}
				for k := range 5000 {
					n1, n0 := poisson(r, cfg.c), poisson(r, cfg.b)
					p := pair{count{poisson(r, n1*cfg.p1), n1}, count{poisson(r, n0*cfg.p0), n0}}
					p.canary.bad = min(p.canary.bad, n1)
					c.add(p)
					l.add(p.canary)
					sum += n1
					spread := c.seen.canary.plus(c.seen.baseline).rate()
					if weigh(c.worse[:], c.sceptic[:], worseStakes[:], d, c.seen, k+1, spread) > math.Log(1/alpha/.8) ||
						weigh(l.breaks[:], l.sceptic[:], breakStakes[:], d, c.seen, k+1, 0) > math.Log(1/alpha/.15) {
						if k == 0 {
							first++
						}
						break
					}
					d.learn(p)
				}
			}
			t.Logf("%+v of %v objectives: fixed %.0f, ours %.0f, ratio %.2f, first %.1f %%", cfg, m, n, sum/runs, sum/runs/n, 100*float64(first)/runs)
		}
	}
}
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
