package gate

import (
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// age wants the candidate to be young enough: what was built long ago has old
// dependencies, and was judged by what was known then. A rollback asks no gate.
func age(in Input) finding {
	most := in.Environment.Rules.Gates.Age
	inputs := map[string]any{"age": most.String(), "published": in.Candidate.Published, "candidate": in.Candidate.ID}
	if most <= 0 {
		return allow(inputs, fmt.Sprintf("%s takes releases of any age.", in.Environment.Name))
	}
	expires, expired := Expired(in.Environment.Rules, in.Candidate.Published, in.Now)
	if expired {
		return deny(inputs, "build the commit that you want anew, or a newer one, and promote that",
			fmt.Sprintf("%s was published at %s and expired at %s; %s takes releases of up to %s.",
				label(in), moment(in.Candidate.Published), moment(expires), in.Environment.Name, span(most)))
	}
	f := allow(inputs, fmt.Sprintf("%s was published at %s and expires at %s; %s takes releases of up to %s.",
		label(in), moment(in.Candidate.Published), moment(expires), in.Environment.Name, span(most)))
	f.inputs["expires"] = expires
	return f
}

// Expired is when a candidate expires under the rules of an environment, and
// whether it has; a zero time is never.
func Expired(rules towpath.EnvironmentSpec, published, now time.Time) (at time.Time, expired bool) {
	if rules.Gates.Age <= 0 {
		return time.Time{}, false
	}
	at = published.Add(rules.Gates.Age)
	return at, now.After(at)
}
