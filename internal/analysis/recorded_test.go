package analysis

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// recorded is what the router counted of two revisions of the same program,
// second by second, and before that of the first one alone; see
// testdata/streams/README.md.
type recorded struct {
	before []served
	both   [][2]served
}

// served is what was counted of one revision in a second.
type served struct{ requests, failed, fast, slow float64 }

// slowBeyond is the bound of the latency objective, in seconds: one of those of
// the recorded buckets.
const slowBeyond = 0.1

// recordings are the recorded streams, by name.
func recordings(t *testing.T) map[string]recorded {
	t.Helper()
	files, err := filepath.Glob("testdata/streams/*.csv")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	out := map[string]recorded{}
	for _, f := range files {
		out[strings.TrimSuffix(filepath.Base(f), ".csv")] = readRecording(t, f)
	}
	return out
}

func readRecording(t *testing.T, file string) recorded {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	header, lines, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	names := strings.Split(header, ",")
	var r recorded
	for line := range strings.Lines(lines) {
		var p [2]served
		for i, field := range strings.Split(strings.TrimSpace(line), ",") {
			if field == "" {
				continue
			}
			n, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			revision, what, _ := strings.Cut(names[i], " ")
			p[map[string]int{"old": 0, "new": 1}[revision]].add(t, what, n)
		}
		if p[1].requests == 0 && len(r.both) == 0 {
			r.before = append(r.before, p[0])
		} else {
			r.both = append(r.both, p)
		}
	}
	if len(r.before) < 30 || len(r.both) < 900 {
		t.Fatalf("%s: %d seconds alone and %d of both", file, len(r.before), len(r.both))
	}
	return r
}

// add takes one column.
func (s *served) add(t *testing.T, column string, n float64) {
	t.Helper()
	bound := math.Inf(1)
	switch {
	case column == "requests":
		s.requests = n
		return
	case column == "failed":
		s.failed = n
		return
	case column != "slower":
		var err error
		if bound, err = strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(column, "≤ "), " s"), 64); err != nil {
			t.Fatal(err)
		}
	}
	if bound <= slowBeyond {
		s.fast += n
	} else {
		s.slow += n
	}
}

// thinned are the requests of s that a smaller share of the traffic would have
// had, drawn without regard to what became of them.
func (s served) thinned(r *rand.Rand, share float64) served {
	if share >= 1 {
		return s
	}
	failed, slow := binomial(r, s.failed, share), binomial(r, s.slow, share)
	return served{failed: failed, slow: slow, requests: failed + binomial(r, s.requests-s.failed, share), fast: binomial(r, s.fast, share)}
}

func (s served) sample(name string) *Sample {
	if name == "errors" {
		return &Sample{Total: s.requests, Bad: s.failed}
	}
	return &Sample{Histogram: &Histogram{Bounds: []float64{slowBeyond}, Counts: []float64{s.fast, s.slow}}}
}

// doubled fails as many requests again, where there are so many.
func (s served) doubled() served {
	s.failed = math.Min(2*s.failed, s.requests)
	return s
}

// cutting says how a rollout is made of a recording.
type cutting struct {
	blocks int     // seconds that stay together; 0: all of them, from one beginning
	swap   bool    // who is new: the instances are as many and had as much traffic
	share  float64 // of the new revision's recorded requests that it gets
	budget float64 // of both objectives
	before int
	length int
	worse  bool // the new revision's failures are doubled
	half   bool // half of its requests that did not fail do
}

// rollout cuts one rollout out of a recording: who was old and who new is drawn,
// for each block anew, because they are the same program.
func (r recorded) rollout(seed uint64, c cutting) Input {
	random := rand.New(rand.NewPCG(seed, 8))
	in := Input{Objectives: []Objective{
		{Name: "errors", Kind: Ratio, Target: 1 - c.budget, Critical: true},
		{Name: "latency", Kind: Quantile, Target: 1 - c.budget, Bound: slowBeyond, Critical: true},
	}}
	length := c.before + c.length
	block := c.blocks
	if block == 0 {
		block = length
	}
	at, fresh := 0, 1
	for i := range length {
		if i%block == 0 || i == c.before && c.blocks > 0 {
			at = random.IntN(len(r.both) - min(block, length-i) + 1)
			if c.swap {
				fresh = random.IntN(2)
			}
		}
		old, canary := r.both[at][1-fresh], r.both[at][fresh].thinned(random, c.share)
		at++
		if c.worse {
			canary = canary.doubled()
		}
		if c.half {
			canary.failed += binomial(random, canary.requests-canary.failed, 0.5)
		}
		start := begin.Add(time.Duration(i) * time.Second)
		now := Interval{Start: start, End: start.Add(time.Second), Readings: map[string]Reading{}}
		for _, o := range in.Objectives {
			reading := Reading{Baseline: old.sample(o.Name)}
			if i >= c.before {
				reading.Canary = canary.sample(o.Name)
			}
			now.Readings[o.Name] = reading
		}
		in.Intervals = append(in.Intervals, now)
	}
	return in
}
