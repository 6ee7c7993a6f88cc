package analysis

import (
	"maps"
	"math"
	"slices"
	"testing"
)

// cuttings are the ways in which rollouts are made of a recording: a piece of it
// as it was, or blocks of twenty seconds in another order; with all of the new
// revision's requests, or a ninth of them, which is a tenth of the traffic where
// both have as much.
func cuttings(recording string) map[string]cutting {
	out := map[string]cutting{
		"as it was":                  {share: 1},
		"as it was, less traffic":    {share: 1. / 9},
		"blocks":                     {share: 1, blocks: 20},
		"blocks, less traffic":       {share: 1. / 9, blocks: 20},
		"as it was, a larger budget": {share: 1, budget: 0.1},
	}
	for name, c := range out {
		if c.budget == 0 {
			c.budget = 0.01
		}
		c.swap = recording != "gateway-beside-three" // there the old revision has three instances
		c.before, c.length = 60, 120
		out[name] = c
	}
	return out
}

// atMost is the probability of so few hits in so many trials, if each hits with p.
func atMost(hits, trials int, p float64) float64 {
	sum := 0.0
	for k := range hits + 1 {
		n, k := float64(trials), float64(k)
		all, _ := math.Lgamma(n + 1)
		in, _ := math.Lgamma(k + 1)
		out, _ := math.Lgamma(n - k + 1)
		sum += math.Exp(all - in - out + k*math.Log(p) + (n-k)*math.Log1p(-p))
	}
	return sum
}

// TestJudge_RecordedStreams: of rollouts that are drawn from what real services
// did, without a difference, at most 1 % go back, with a confidence of 95 %: over
// all recordings, and with the tag long of each of them.
func TestJudge_RecordedStreams(t *testing.T) {
	alarms, drawn := 0, 0
	streams := recordings(t)
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		here, all := 0, 0
		makings := cuttings(name)
		for _, how := range slices.Sorted(maps.Keys(makings)) {
			worse := 0
			for seed := range uint64(recordedRollouts) {
				j := judged(t, streams[name].rollout(seed, makings[how]))
				if j.Outcome == Worse {
					if worse++; worse <= 2 {
						t.Log(name, how, seed, j.Sentence)
					}
				}
			}
			t.Logf("%s, %s: %d of %d rollouts without a difference were called worse", name, how, worse, recordedRollouts)
			here, all = here+worse, all+recordedRollouts
		}
		t.Logf("%s: %.2f %% of %d", name, 100*float64(here)/float64(all), all)
		if all >= 1000 && atMost(here, all, 0.01) > 0.05 {
			t.Errorf("%s: %d of %d; that is not at most 1 %% with a confidence of 95 %%", name, here, all)
		}
		alarms, drawn = alarms+here, drawn+all
	}
	t.Logf("in all %.2f %% of %d", 100*float64(alarms)/float64(drawn), drawn)
	if atMost(alarms, drawn, 0.01) > 0.05 {
		t.Errorf("%d of %d; that is not at most 1 %% with a confidence of 95 %%", alarms, drawn)
	}
}

// TestJudge_FindsWhatIsWorseInRecordedStreams makes one of the two worse. Where a
// failure seldom comes alone, a doubling is found after minutes, or not at all:
// that is what keeping quiet about bursts costs.
func TestJudge_FindsWhatIsWorseInRecordedStreams(t *testing.T) {
	const trials = 20
	streams := recordings(t)
	for _, tc := range []struct {
		recording string
		half      bool // of what did not fail, else failures are doubled
		within    int  // seconds, that each rollout has
		least     int  // found, of the trials
	}{
		{"accounts", false, 300, 20},
		{"thumbnails", false, 700, 20},
		{"accounts", true, 300, 20},
		{"thumbnails", true, 300, 20},
		{"orders", true, 300, 20},
		{"gateway", true, 300, 18},
		{"gateway-beside-three", true, 300, 18},
	} {
		c := cutting{share: 1, budget: 0.01, before: 60, length: tc.within, worse: !tc.half, half: tc.half, swap: tc.recording != "gateway-beside-three"}
		found := 0
		for seed := range uint64(trials) {
			if judged(t, streams[tc.recording].rollout(seed, c)).Verdicts[0].Outcome == Worse {
				found++
			}
		}
		t.Logf("%+v: %d of %d", tc, found, trials)
		if found < tc.least {
			t.Errorf("%+v: found in %d of %d", tc, found, trials)
		}
	}
}
