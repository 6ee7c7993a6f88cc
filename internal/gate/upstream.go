package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// upstream wants the candidate verified in the environment that the rules name
// as `from`. The latest stay there decides: a later verification that failed,
// or a rollback, takes back what an earlier stay proved, and a later good stay
// proves it anew.
func upstream(in Input) finding {
	from := in.Environment.Rules.From
	runs := upstreamRuns(in)
	inputs := map[string]any{"from": from, "candidate": in.Candidate.ID, "runs": runs}
	if from == "" {
		return allow(inputs, fmt.Sprintf("%s takes candidates from no other environment.", in.Environment.Name))
	}
	if len(runs) == 0 {
		return wait(inputs, fmt.Sprintf("towpath promote %s --to %s", label(in), from),
			fmt.Sprintf("%s has not been verified in %s yet.", label(in), from))
	}
	last := runs[len(runs)-1]
	switch {
	case last.Doubt != "":
		return deny(inputs, fmt.Sprintf("promote a repaired release to %s, or look again: towpath verify %s", from, from),
			fmt.Sprintf("%s is not verified in %s: %s.", label(in), from, last.Doubt))
	case !last.Verified:
		return wait(inputs, fmt.Sprintf("see towpath status %s", from),
			fmt.Sprintf("%s runs in %s and its verification has not finished.", label(in), from))
	}
	return observed(in, last, inputs)
}

// observed wants evidence of every objective that the candidate's rollout there
// was judged by, and says which it was not to be judged by. Who ended the rollout's step without it has decided, and so has
// who asks for this promotion: what happens by itself waits.
func observed(in Input, last towpath.Run, inputs map[string]any) finding {
	said := []string{fmt.Sprintf("%s is verified in %s.", label(in), last.Environment)}
	open := false
	for i, u := range last.Unseen {
		if u.Unasked {
			if i == 0 || last.Unseen[i-1].Component != u.Component {
				said = append(said, notJudged(last.Unseen[i:]))
			}
			continue
		}
		s := fmt.Sprintf("There was no evidence of %s of %s there: %s.", u.Objective, u.Component, quote(strings.TrimRight(u.Why, ".")))
		if u.By != "" {
			s += fmt.Sprintf(" %s let it pass all the same.", u.By)
		}
		said, open = append(said, s), open || u.By == ""
	}
	switch {
	case !open:
		return allow(inputs, said...)
	case in.Promotion.Mode == towpath.PromotionManual:
		return allow(inputs, append(said, "A person asked for this promotion all the same.")...)
	}
	return wait(inputs, fmt.Sprintf("a person may promote it all the same: towpath promote %s --to %s; or see to it that there are samples, and release again",
		label(in), in.Environment.Name), append(said, "Without evidence nothing is promoted by itself.")...)
}

// notJudged says which objectives the first component was not to be judged by.
func notJudged(unseen []towpath.Unseen) string {
	first := unseen[0]
	var names []string
	for _, u := range unseen {
		if u.Unasked && u.Component == first.Component {
			names = append(names, u.Objective)
		}
	}
	return fmt.Sprintf("%s was not judged by %s there: %s.", first.Component, strings.Join(names, ", "), first.Why)
}

// upstreamRuns are the candidate's own stays in `from`, oldest first; of two
// that began together the doubted one is last, so that it decides.
func upstreamRuns(in Input) []towpath.Run {
	runs := slices.DeleteFunc(slices.Clone(in.Upstream), func(r towpath.Run) bool {
		return r.Candidate != in.Candidate.ID || r.Environment != in.Environment.Rules.From ||
			r.Project != in.Promotion.Project
	})
	slices.SortFunc(runs, func(a, b towpath.Run) int {
		return cmp.Or(a.Began.Compare(b.Began), rank(b.Verified)-rank(a.Verified),
			cmp.Compare(a.Doubt, b.Doubt), a.Ended.Compare(b.Ended), cmp.Compare(a.Deployment, b.Deployment))
	})
	return runs
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}
