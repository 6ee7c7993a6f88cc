package analysis

import (
	"fmt"
	"math"
	"strings"
)

// method names the statistics below. It changes with every change that could
// change a verdict.
const method = "towpath-5"

// methodAfter names those of a revision that has all of the traffic.
const methodAfter = "towpath-after-3"

func methodOf(in Input) string {
	if in.After {
		return methodAfter
	}
	return method
}

// Judge judges a revision by all that was seen of it so far. An input that is
// not valid is an error of kind invalid. The judgement at any time depends on
// the intervals only, never on how often or when it was asked for: whoever looks
// once at the end and whoever looks at every interval learn the same.
func Judge(in Input) (Judgement, error) {
	if err := in.Validate(); err != nil {
		return Judgement{}, err
	}
	full := in.withDefaults()
	j := Judgement{Method: methodOf(in), Input: in, Verdicts: make([]Verdict, 0, len(in.Objectives))}
	for _, o := range full.Objectives {
		t := newTracker(o, full.Alpha/float64(len(full.Objectives)), full.Alone || o.Alone)
		if full.After {
			t.afterSwitch()
		}
		for _, interval := range full.Intervals {
			t.see(interval)
		}
		j.Verdicts = append(j.Verdicts, t.verdict())
	}
	j.Outcome = summarise(full.Objectives, j.Verdicts)
	j.Sentence = overall(j)
	return j, nil
}

// overall leads with what decided.
func overall(j Judgement) string {
	var said []string
	for _, v := range j.Verdicts {
		if v.Outcome == j.Outcome {
			said = append(said, v.Objective+": "+v.Sentence)
		}
	}
	if len(said) == 0 {
		return fmt.Sprintf("%s, taking all objectives together.", j.Outcome.words())
	}
	return strings.Join(said, " ")
}

func (o Outcome) words() string { return strings.ReplaceAll(string(o), "-", " ") }

// e is the evidence in the units of an answer.
func e(log float64) float64 { return math.Min(math.Exp(log), 1e300) }
