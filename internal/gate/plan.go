package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// plan wants a plan whose base is what the environment runs now, and that can be
// carried out: what an agent would ask for is there.
func plan(in Input) finding {
	inputs := map[string]any{"runs": in.Environment.Release}
	if len(in.Lost) > 0 {
		return lost(in, inputs)
	}
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

// lost names what the server has lost of the release, and how it comes back.
func lost(in Input, inputs map[string]any) finding {
	parts := slices.SortedFunc(slices.Values(in.Lost), func(a, b towpath.LostPart) int {
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Digest, b.Digest))
	})
	inputs["lost"] = parts
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = fmt.Sprintf("%s (%s)", p.What, p.Digest)
	}
	hint := fmt.Sprintf("publish the same content again: `towpath release build --ref %s`", in.Candidate.Commit)
	if len(in.Rules) > 0 {
		hint = fmt.Sprintf("`towpath registry scrub --repair-from %s` fetches it from where that rule copies releases; or %s", slices.Min(in.Rules), hint)
	}
	return wait(inputs, hint+"; it opens by itself then",
		fmt.Sprintf("The plan can't be carried out: the server has lost %s of %s.", list(names), label(in)))
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
