package analysis

import "time"

// Outcome is what is said of a revision. A metric source that errs is none of
// these: what it did not say adds nothing, and Errored counts it.
type Outcome string

// The outcomes.
const (
	Worse      Outcome = "worse"
	NotWorse   Outcome = "not-worse"
	Undecided  Outcome = "undecided"   // there are samples, and they do not decide
	NoEvidence Outcome = "no-evidence" // samples are missing; never a pass
)

// Answer answers one question.
type Answer struct {
	Outcome Outcome `json:"outcome"` // worse: yes; not-worse: no
	// E is the evidence for yes: what a bet against no, that is fair whenever one
	// looks, has made of 1; at most 1e300. Yes is said when it reaches Needs.
	E     float64 `json:"e"`
	Needs float64 `json:"needs"`
}

// Count is how many of how many were bad.
type Count struct {
	Bad   float64 `json:"bad"`
	Total float64 `json:"total"`
}

func (c Count) rate() float64 {
	if c.Total == 0 {
		return 0
	}
	return c.Bad / c.Total
}

// Verdict judges one objective.
type Verdict struct {
	Objective string  `json:"objective"`
	Outcome   Outcome `json:"outcome"`
	// Breaks: does the new revision break the objective? Compares: is it worse
	// than the baseline beside it? Shifts: are its latencies beyond those of the
	// baseline, whatever the bound (of a quantile only)? Burns: does it use up
	// the error budget too fast?
	Breaks   Answer `json:"breaks"`
	Compares Answer `json:"compares"`
	Shifts   Answer `json:"shifts"`
	Burns    Answer `json:"burns"`
	// What was counted of each: requests, or the moments at which a threshold was
	// looked at. When the outcome is worse, up to the interval that decided.
	// Before is what was counted of the baseline until the canary had any.
	Canary   Count `json:"canary"`
	Baseline Count `json:"baseline"`
	Before   Count `json:"before,omitzero"`
	// Intervals were read, Errored could not be.
	Intervals int `json:"intervals"`
	Errored   int `json:"errored"`
	// Decided is the end of the interval that showed that it is worse.
	Decided *time.Time `json:"decided,omitempty"`
	// Sentence says it all, with numbers.
	Sentence string `json:"sentence"`
}

// suspicion is the evidence from which on what is undecided speaks against the
// new revision: fair bets get there for no reason once in four times at most.
const suspicion = 4

// fewBad is how many bad requests say nothing yet, however few were good.
const fewBad = 3

// Suspect reports whether a verdict on an objective that is not decided leans
// towards worse: bets on that have won, or what was counted looks bad whatever
// it may be by chance. That is no reason to go back, and none to go on either.
func (v Verdict) Suspect(o Objective) bool {
	if v.Outcome != Undecided {
		return false
	}
	if max(v.Breaks.E, v.Compares.E, v.Shifts.E, v.Burns.E) >= suspicion {
		return true
	}
	baseline := v.Baseline
	if baseline.Total == 0 { // nothing is beside it
		baseline = v.Before
	}
	return v.Canary.Bad >= fewBad && v.Canary.rate() > o.budget() && v.Canary.rate() > 2*baseline.rate()
}

// Judgement is the judgement of a revision, with what it was made of.
type Judgement struct {
	// Method names the statistics; another version may judge otherwise.
	Method   string    `json:"method"`
	Outcome  Outcome   `json:"outcome"`
	Sentence string    `json:"sentence"`
	Verdicts []Verdict `json:"verdicts"` // in the order of the objectives
	Input    Input     `json:"input"`
}

// summarise is the outcome of all objectives together: worse when a critical one
// is, or more than half of the weight; not worse when all critical ones are, and
// more than half of the weight; without evidence when what is missing for that
// lacks samples.
func summarise(objectives []Objective, verdicts []Verdict) Outcome {
	var all, worse, fine, silent float64
	criticals := map[Outcome]int{}
	total := 0
	for i, o := range objectives {
		if o.Critical {
			criticals[verdicts[i].Outcome]++
			total++
			continue
		}
		all += o.Weight
		switch verdicts[i].Outcome {
		case Worse:
			worse += o.Weight
		case NotWorse:
			fine += o.Weight
		case NoEvidence:
			silent += o.Weight
		}
	}
	switch {
	case criticals[Worse] > 0 || worse > all/2:
		return Worse
	case criticals[NotWorse] == total && (all == 0 || fine > all/2):
		return NotWorse
	case criticals[NoEvidence] > 0 || silent > 0 && fine+silent > all/2 && criticals[Undecided] == 0:
		return NoEvidence
	default:
		return Undecided
	}
}
