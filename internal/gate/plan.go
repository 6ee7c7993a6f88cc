package gate

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// plan wants a plan whose base is what the environment runs now.
func plan(in Input) finding {
	inputs := map[string]any{"runs": in.Environment.Release}
	if !planned(in) {
		return wait(inputs, "it comes by itself when the place's agent answers", "The plan has not been computed yet.")
	}
	inputs["hash"], inputs["base"], inputs["changes"] = in.Plan.Hash, in.Plan.Base, in.Plan.Counts()
	if in.Plan.Base != in.Environment.Release {
		return wait(inputs, "it is computed again by itself; approvals of the old plan lapse if it changes",
			fmt.Sprintf("The plan was computed against another release than the one that %s runs now.", in.Environment.Name))
	}
	return allow(inputs, "The plan is known: "+changes(in.Plan.Counts())+".")
}

// changes says how many components a plan does what with, and nothing of what it
// does with none.
func changes(n map[towpath.ChangeAction]int) string {
	var out []string
	for _, of := range []struct {
		action towpath.ChangeAction
		what   string
	}{
		{towpath.ActionCreate, "to create"}, {towpath.ActionReplace, "to replace"}, {towpath.ActionRemove, "to remove"}, {towpath.ActionNone, "unchanged"},
	} {
		if n[of.action] > 0 {
			out = append(out, fmt.Sprintf("%d %s", n[of.action], of.what))
		}
	}
	return cmp.Or(strings.Join(out, ", "), "nothing changes")
}

func planned(in Input) bool { return in.Plan != nil && in.Plan.Hash != "" }
