package gate

import (
	"fmt"

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
	n := in.Plan.Counts()
	return allow(inputs, fmt.Sprintf("The plan is known: %d to create, %d to replace, %d to remove, %d unchanged.",
		n[towpath.ActionCreate], n[towpath.ActionReplace], n[towpath.ActionRemove], n[towpath.ActionNone]))
}

func planned(in Input) bool { return in.Plan != nil && in.Plan.Hash != "" }
