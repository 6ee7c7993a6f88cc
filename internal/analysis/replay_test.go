package analysis

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestReplay(t *testing.T) {
	w := plain()
	w.worse = 3
	j := judged(t, Input{Objectives: w.objectives(), Intervals: w.rollout(3, 150)})
	record, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	again, same, err := Replay(record)
	if err != nil || !same || again.Outcome != j.Outcome || again.Sentence != j.Sentence {
		t.Errorf("replayed: %v, %v, %s", same, err, again.Sentence)
	}
	tampered := strings.Replace(string(record), `"outcome":"worse"`, `"outcome":"not-worse"`, 1)
	if _, same, err := Replay([]byte(tampered)); err != nil || same {
		t.Errorf("a verdict that was edited is called the same (%v)", err)
	}
	for name, record := range map[string]string{
		"no JSON": "{", "no judgement": "{}", "another method": `{"method":"towpath-0"}`, "no objective": `{"method":"` + method + `"}`,
	} {
		if _, _, err := Replay([]byte(record)); err == nil {
			t.Errorf("%s: replayed without an error", name)
		}
	}
}

func FuzzReplay(f *testing.F) {
	for _, in := range []Input{
		errorsOf([4]float64{10, 20, 0, 180}, [4]float64{0.5, 3.25, 1e-9, 1e9}),
		memoryOf(12, func(i int) []float64 { return []float64{float64(i)} }, func(int) []float64 { return nil }, func(o *Objective) { o.Ranks = true }),
		{Objectives: plain().objectives(), Intervals: plain().rollout(1, 12)},
	} {
		j, err := Judge(in)
		if err != nil {
			f.Fatal(err)
		}
		record, err := json.Marshal(j)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		again, _, err := Replay(record)
		if err != nil {
			return
		}
		for _, v := range again.Verdicts {
			for _, a := range []Answer{v.Breaks, v.Compares, v.Shifts, v.Burns} {
				if math.IsNaN(a.E) || math.IsInf(a.E, 0) {
					t.Fatalf("evidence that is no number: %+v", v)
				}
			}
		}
		written, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if _, same, err := Replay(written); err != nil || !same {
			t.Fatalf("what was replayed does not replay: %v, %v", same, err)
		}
	})
}
