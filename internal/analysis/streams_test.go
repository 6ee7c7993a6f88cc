package analysis

import (
	"math"
	"math/rand/v2"
	"time"
)

// world makes samples of a canary beside a baseline, seeded and reproducible.
type world struct {
	canary, baseline float64 // requests an interval, on average
	bad, worse       float64 // rate of bad requests; that of the canary is worse times as high
	burst            float64 // how many bad requests come together
	budget           float64 // share of requests that the objectives allow to be bad
	// weather is what happens to both in an interval: factors of traffic and rate.
	weather func(*rand.Rand) func(interval int) (traffic, rate float64)
	// own is as weather, of each revision by itself.
	own         func(*rand.Rand) func(interval int) (traffic, rate float64)
	extrapolate bool // counts are scaled up from a part of the interval
}

func plain() world {
	return world{canary: 20, baseline: 180, bad: 0.01, worse: 1, burst: 1, budget: 0.02}
}

// streams are the worlds in which there is no difference.
func streams() map[string]world {
	out := map[string]world{}
	add := func(name string, change func(*world)) {
		w := plain()
		change(&w)
		out[name] = w
	}
	add("plain", func(*world) {})
	add("bursts of two", func(w *world) { w.burst = 2 })
	add("bursts of five", func(w *world) { w.burst = 5 })
	add("autocorrelated", func(w *world) { w.weather = autocorrelated(0.9, 0.7) })
	add("daily cycle", func(w *world) { w.weather = daily })
	add("bursts of ten", func(w *world) { w.burst = 10 })
	add("rare bursts of ten", func(w *world) { w.burst, w.bad = 10, 0.001 })
	add("half of the traffic, bursts of ten", func(w *world) { w.baseline, w.burst = 20, 10 })
	add("large volumes, bursts of two", func(w *world) { w.canary, w.baseline, w.bad, w.budget, w.burst = 200, 1800, 0.05, 0.1, 2 })
	add("extrapolated", func(w *world) { w.extrapolate = true })
	add("extrapolated bursts of five", func(w *world) { w.extrapolate, w.burst = true, 5 })
	add("autocorrelated bursts of five", func(w *world) { w.weather, w.burst = autocorrelated(0.9, 0.7), 5 })
	add("half of the traffic, bursts of five", func(w *world) { w.baseline, w.burst = 20, 5 })
	return out
}

// autocorrelated is a rate whose logarithm is an autoregression of first order.
func autocorrelated(keep, deviation float64) func(*rand.Rand) func(int) (float64, float64) {
	return func(r *rand.Rand) func(int) (float64, float64) {
		state := deviation * r.NormFloat64()
		return func(int) (float64, float64) {
			state = keep*state + math.Sqrt(1-keep*keep)*deviation*r.NormFloat64()
			return 1, math.Exp(state - deviation*deviation/2)
		}
	}
}

// daily is a day of 150 intervals that begins at any time, with a peak of
// traffic and one of errors.
func daily(r *rand.Rand) func(int) (float64, float64) {
	begin := r.Float64() * 150
	return func(k int) (float64, float64) {
		angle := 2 * math.Pi * (begin + float64(k)) / 150
		return 1 + 0.7*math.Sin(angle), 1 + 0.9*math.Sin(angle+1)
	}
}

func steady(*rand.Rand) func(int) (float64, float64) {
	return func(int) (float64, float64) { return 1, 1 }
}

// objectives of every simulated rollout: errors, latency and memory.
func (w world) objectives() []Objective {
	return []Objective{
		{Name: "errors", Kind: Ratio, Target: 1 - w.budget, Critical: true, Window: time.Minute},
		{Name: "latency", Kind: Quantile, Target: 1 - w.budget, Bound: 0.3, Critical: true, Shifts: true, Window: time.Minute},
		{Name: "memory", Kind: Threshold, Target: 0.9, Bound: 100, Critical: true, Window: time.Minute},
	}
}

var begin = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// rollout makes the intervals of one rollout, of a second each.
func (w world) rollout(seed uint64, intervals int) []Interval {
	r := rand.New(rand.NewPCG(seed, 4))
	weather, own := w.weather, w.own
	if weather == nil {
		weather = steady
	}
	if own == nil {
		own = steady
	}
	names := []string{"errors", "latency"}
	type skies struct{ both, canary, baseline func(int) (float64, float64) }
	over := make([]skies, len(names))
	for i := range over {
		over[i] = skies{weather(r), own(r), own(r)}
	}
	memory := [2]float64{r.NormFloat64(), r.NormFloat64()}
	out := make([]Interval, intervals)
	for k := range out {
		readings := map[string]Reading{}
		for i, name := range names {
			traffic, rate := over[i].both(k)
			canaryTraffic, canaryRate := over[i].canary(k)
			baselineTraffic, baselineRate := over[i].baseline(k)
			readings[name] = Reading{
				Canary:   w.sample(r, name, w.canary*traffic*canaryTraffic, w.bad*w.worse*rate*canaryRate),
				Baseline: w.sample(r, name, w.baseline*traffic*baselineTraffic, w.bad*rate*baselineRate),
			}
		}
		var values [2]*Sample
		for i := range memory {
			memory[i] = 0.8*memory[i] + 0.6*r.NormFloat64()
			values[i] = &Sample{Values: []float64{90 + 6*memory[i] + r.NormFloat64()}}
		}
		readings["memory"] = Reading{Canary: values[0], Baseline: values[1]}
		start := begin.Add(time.Duration(k) * time.Second)
		out[k] = Interval{Start: start, End: start.Add(time.Second), Readings: readings}
	}
	return out
}

// sample counts the requests of one revision in one interval.
func (w world) sample(r *rand.Rand, name string, traffic, rate float64) *Sample {
	covered, factor := 1.0, 1.0
	if w.extrapolate {
		covered = 0.65 + 0.35*r.Float64()
		factor = 1 / covered
	}
	total := poisson(r, traffic*covered)
	bad := math.Min(total, w.badOf(r, total, rate))
	scaled := bad * factor
	if w.extrapolate && r.IntN(4) == 0 { // a young counter is extrapolated less
		scaled = bad * (1 + factor) / 2
	}
	if name == "errors" {
		return &Sample{Total: total * factor, Bad: scaled}
	}
	fast := total - bad
	first := binomial(r, fast, 0.5)
	second := binomial(r, fast-first, 0.6)
	third := fast - first - second
	return &Sample{Histogram: &Histogram{
		Bounds: []float64{0.05, 0.1, 0.3, 1},
		Counts: []float64{first * factor, second * factor, third * factor, scaled, 0},
	}}
}

func (w world) badOf(r *rand.Rand, total, rate float64) float64 {
	if w.burst == 1 {
		return binomial(r, total, math.Min(1, rate))
	}
	return w.burst * poisson(r, total*rate/w.burst)
}

func poisson(r *rand.Rand, mean float64) float64 {
	if mean > 400 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
	}
	n, p, limit := 0.0, r.Float64(), math.Exp(-mean)
	for p > limit {
		n++
		p *= r.Float64()
	}
	return n
}

func binomial(r *rand.Rand, n, p float64) float64 {
	if p <= 0 || n <= 0 {
		return 0
	}
	if p >= 1 {
		return n
	}
	if n*p*(1-p) > 200 {
		return math.Min(n, math.Max(0, math.Round(n*p+math.Sqrt(n*p*(1-p))*r.NormFloat64())))
	}
	hits := 0.0
	skip := math.Log1p(-p) // jump from hit to hit
	for at := math.Floor(math.Log1p(-r.Float64()) / skip); at < n; at += 1 + math.Floor(math.Log1p(-r.Float64())/skip) {
		hits++
	}
	return hits
}
