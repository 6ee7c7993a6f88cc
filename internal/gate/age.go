package gate

import (
	"fmt"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// age wants the candidate's release to be young enough: what was built long ago
// has old dependencies, and was judged by what was known then. Another version or
// commit with the same content makes it no younger. A rollback asks no gate.
func age(in Input) finding {
	most := in.Environment.Rules.Gates.Age
	inputs := map[string]any{"age": most.String(), "candidate": in.Candidate.ID}
	if most <= 0 {
		return allow(inputs, fmt.Sprintf("%s takes releases of any age.", in.Environment.Name))
	}
	inputs["published"] = in.Released
	expires, expired := Expired(in.Environment.Rules, in.Released, in.Now)
	if expired {
		return deny(inputs, "promote a release with other content: of a newer commit that changes it, or with newer dependencies (towpath lock --update PIN); "+
			"the same content built again is the same release, whatever its version. A longer age is a rule of the environment",
			fmt.Sprintf("The content of %s was first published at %s and expired at %s; %s takes releases of up to %s.",
				label(in), moment(in.Released), moment(expires), in.Environment.Name, span(most)))
	}
	f := allow(inputs, fmt.Sprintf("The content of %s was first published at %s and expires at %s; %s takes releases of up to %s.",
		label(in), moment(in.Released), moment(expires), in.Environment.Name, span(most)))
	f.inputs["expires"] = expires
	return f
}

// Expired is when a release that was first published at a time expires under the
// rules of an environment, and whether it has; a zero time is never.
func Expired(rules towpath.EnvironmentSpec, published, now time.Time) (at time.Time, expired bool) {
	if rules.Gates.Age <= 0 {
		return time.Time{}, false
	}
	at = published.Add(rules.Gates.Age)
	return at, now.After(at)
}
