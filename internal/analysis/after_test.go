package analysis

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// taken is a rollout whose new revision takes all of the traffic at once after
// some intervals. What is asked of a source is not known of before.
func taken(intervals []Interval, before int) []Interval {
	for i := range intervals {
		now := map[string]Reading{}
		for name, r := range intervals[i].Readings {
			switch {
			case i >= before:
				now[name] = Reading{Canary: r.Canary}
			case name != "memory":
				now[name] = Reading{Baseline: r.Baseline}
			}
		}
		intervals[i].Readings = now
	}
	return intervals
}

// whole is a world in which each revision has all of the traffic in its time.
func (w world) whole() world {
	all := w.canary + w.baseline
	w.canary, w.baseline = all, all
	return w
}

// outages are times in which half of all requests fail.
func outages(every, last float64) func(*rand.Rand) func(int) (float64, float64) {
	return func(r *rand.Rand) func(int) (float64, float64) {
		left := 0.0
		return func(int) (float64, float64) {
			if left <= 0 && r.Float64() < 1/every {
				left = last
			}
			if left--; left >= 0 {
				return 1, 500 // times 0.001
			}
			return 1, 1
		}
	}
}

// switches are the worlds in which nothing changes but the revision.
func switches() map[string]world {
	out := streams()
	for name, w := range out {
		out[name] = w.whole()
	}
	add := func(name string, change func(*world)) {
		w := plain().whole()
		change(&w)
		out[name] = w
	}
	add("few requests", func(w *world) { w.canary, w.baseline = 5, 5 })
	add("few requests, bursts of ten", func(w *world) { w.canary, w.baseline, w.burst = 20, 20, 10 })
	add("a day in which the rate doubles", func(w *world) { w.weather = daily; w.bad = 0.012 })
	add("rates that wander slowly", func(w *world) { w.weather = autocorrelated(0.98, 0.5) })
	add("outages of two intervals", func(w *world) { w.weather, w.bad = outages(150, 2), 0.001 })
	return out
}

func TestJudge_AfterTheSwitchCallsFewWorseThatAreNot(t *testing.T) {
	for name, w := range switches() {
		for _, before := range []int{0, 60} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				alarms, fine := 0, 0
				by := map[string]int{}
				for seed := range uint64(rolloutsOfASwitch) {
					j := judgeAfter(t, Input{Objectives: w.objectives(), Intervals: taken(w.rollout(seed, before+rolloutInterval), before)})
					switch j.Outcome {
					case Worse:
						alarms++
						for _, v := range j.Verdicts {
							if v.Outcome == Worse {
								by[v.Objective]++
								if by[v.Objective] < 3 {
									t.Log(seed, v.Decided.Sub(begin)-time.Duration(before)*time.Second, v.Objective, v.Sentence)
								}
							}
						}
					case NotWorse:
						fine++
					}
				}
				t.Logf("%d before: %d of %d were called worse, %d fine: %v", before, alarms, rolloutsOfASwitch, fine, by)
				if alarms > rolloutsOfASwitch/100 {
					t.Errorf("more than 1 %%")
				}
			})
		}
	}
}

func judgeAfter(t *testing.T, in Input) Judgement {
	t.Helper()
	in.After = true
	j, err := Judge(in)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// changed is a rollout whose new revision takes all of the traffic after some
// intervals, and is bad from a later one on.
func changed(good, bad world, seed uint64, before, at, intervals int) []Interval {
	out := good.rollout(seed, intervals)
	for i, b := range bad.rollout(seed+1e6, intervals)[at:] {
		out[at+i].Readings = b.Readings
	}
	return taken(out, before)
}

// TestJudge_AfterTheSwitchFindsWhatIsWorse: a release that fails is found out
// within a few intervals of the first failure.
func TestJudge_AfterTheSwitchFindsWhatIsWorse(t *testing.T) {
	for name, x := range map[string]struct {
		requests, rate float64
		since          int // the switch
		within         int
	}{
		"half of 20 fail":              {20, 0.5, 0, 5},
		"half of 200 fail":             {200, 0.5, 0, 5},
		"a tenth of 200 fail":          {200, 0.1, 0, 10},
		"all of 200 fail, a while on":  {200, 1, 30, 12},
		"half of 200 fail, a while on": {200, 0.5, 30, 14},
	} {
		t.Run(name, func(t *testing.T) {
			good := plain()
			good.canary, good.baseline, good.bad, good.budget = x.requests, x.requests, 0.002, 0.01
			bad := good
			bad.bad = x.rate
			const trials, before = 200, 60
			found, sum := 0, 0
			for seed := range uint64(trials) {
				at := before + x.since
				j := judgeAfter(t, Input{Objectives: good.objectives(), Intervals: changed(good, bad, seed, before, at, at+x.within)})
				if j.Outcome != Worse {
					continue
				}
				found++
				for _, v := range j.Verdicts {
					if v.Decided != nil {
						sum += int(v.Decided.Sub(begin)/time.Second) - at
						break
					}
				}
			}
			t.Logf("found in %d of %d within %d intervals, after %.1f", found, trials, x.within, float64(sum)/float64(max(found, 1)))
			if found < trials*95/100 {
				t.Error("too few")
			}
		})
	}
}

// TestJudge_AfterTheSwitchWhatWasBadBefore: a new revision that does what the old
// one did before is no reason to go back to that.
func TestJudge_AfterTheSwitchWhatWasBadBefore(t *testing.T) {
	w := plain().whole()
	w.bad, w.budget = 0.05, 0.01
	alarms := 0
	for seed := range uint64(200) {
		j := judgeAfter(t, Input{Objectives: w.objectives()[:2], Intervals: taken(w.rollout(seed, 100), 60)})
		if j.Outcome == Worse {
			alarms++
		}
		for i, v := range j.Verdicts {
			if v.Suspect(j.Input.Objectives[i]) {
				t.Errorf("seed %d: suspected for what the old one did as well: %s", seed, v.Sentence)
			}
		}
	}
	if alarms > 2 {
		t.Errorf("%d of 200 were called worse", alarms)
	}
	failing := w
	failing.bad = 0.5
	j := judgeAfter(t, Input{Objectives: w.objectives()[:1], Intervals: changed(w, failing, 1, 60, 60, 75)})
	if want := "1 % may be, and 10"; j.Outcome != Worse || !strings.Contains(j.Sentence, want) {
		t.Errorf("ten times as bad as before: %s", j.Sentence)
	}
}

// TestJudge_AfterTheSwitchWithoutTraffic: nobody is worse for having no requests,
// and nobody is fine for it.
func TestJudge_AfterTheSwitchWithoutTraffic(t *testing.T) {
	w := plain().whole()
	intervals := taken(w.rollout(1, 100), 60)
	for i := range intervals[60:] {
		intervals[60+i].Readings = map[string]Reading{"errors": {Canary: &Sample{}}, "latency": {Canary: &Sample{Histogram: &Histogram{Bounds: []float64{0.3}, Counts: []float64{0, 0}}}}}
	}
	if j := judgeAfter(t, Input{Objectives: w.objectives()[:2], Intervals: intervals}); j.Outcome != NoEvidence || !strings.Contains(j.Sentence, "0 of 50 requests of the new revision") {
		t.Errorf("%s: %s", j.Outcome, j.Sentence)
	}
}

// TestJudge_AfterTheSwitchReplays: the record says by which statistics.
func TestJudge_AfterTheSwitchReplays(t *testing.T) {
	w := plain().whole()
	bad := w
	bad.bad = 0.5
	j := judgeAfter(t, Input{Objectives: w.objectives(), Intervals: changed(w, bad, 1, 60, 60, 70)})
	record, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	again, same, err := Replay(record)
	if err != nil || !same || again.Outcome != Worse || again.Method != methodAfter {
		t.Errorf("replayed as %s by %s, the same: %v, %v", again.Outcome, again.Method, same, err)
	}
}

// TestJudge_AThresholdAfterTheSwitch: a value that is out of bounds all the time is
// suspected as soon as there are samples enough, and called worse in the end.
func TestJudge_AThresholdAfterTheSwitch(t *testing.T) {
	in := Input{After: true, Objectives: []Objective{{Name: "load", Kind: Threshold, Bound: 1, Target: 0.9, Critical: true, MinSamples: 10, Weight: 1}}}
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	suspected, worse := 0, 0
	for i := range 300 {
		at := start.Add(time.Duration(i) * time.Second)
		r := Reading{Canary: &Sample{Values: []float64{2}}}
		if i < 10 {
			r = Reading{Baseline: &Sample{Values: []float64{0.5}}}
		}
		in.Intervals = append(in.Intervals, Interval{Start: at, End: at.Add(time.Second), Readings: map[string]Reading{"load": r}})
		j, err := Judge(in)
		if err != nil {
			t.Fatal(err)
		}
		if suspected == 0 && j.Verdicts[0].Suspect(in.Objectives[0]) {
			suspected = i - 9
		}
		if j.Outcome == Worse {
			worse = i - 9
			break
		}
	}
	if suspected != 10 || worse != 170 {
		t.Errorf("suspected after %d intervals, worse after %d", suspected, worse)
	}
}
