package gate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// shown is how many items a reason lists before it counts the rest.
const shown = 10

// branch denies while the environment's branch has commits that the candidate
// lacks: they would be lost, so they go back upstream first.
func branch(in Input) finding {
	name := in.Environment.Rules.Branch
	foreign := slices.Clone(in.Foreign)
	slices.SortFunc(foreign, func(a, b towpath.CommitAuthor) int {
		return cmp.Or(cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Email, b.Email),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Subject, b.Subject))
	})
	inputs := map[string]any{"branch": name, "foreign": foreign[:min(len(foreign), shown)], "foreignCount": len(foreign)}
	switch {
	case name == "":
		return allow(inputs, fmt.Sprintf("%s has no branch.", in.Environment.Name))
	case len(foreign) == 0:
		return allow(inputs, fmt.Sprintf("The branch %s can advance to %s.", name, label(in)))
	}
	reasons := []string{fmt.Sprintf("The branch %s has %s that %s lacks.", name, count(len(foreign), "commit"), label(in))}
	for _, c := range foreign[:min(len(foreign), shown)] {
		reasons = append(reasons, fmt.Sprintf("%s by %s: %s.", towpath.Short(c.Commit), c.Email, quote(c.Subject)))
	}
	if rest := len(foreign) - shown; rest > 0 {
		reasons = append(reasons, fmt.Sprintf("And %d more.", rest))
	}
	return deny(inputs, "merge them back upstream first, and promote the release that has them", reasons...)
}
