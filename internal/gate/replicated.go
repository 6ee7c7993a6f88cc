package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// replicated wants the release to be in other places, with all that a verifier
// there needs: the provenance of this candidate and every statement about it that
// is verified now, those on how it was promoted before among them. What is promoted
// must not need a registry that may be gone when it is rolled back to. What proves
// nothing is not waited for, so that nobody keeps the gate shut by attaching it; nor
// is what this promotion will add, which is attached when it has ended.
func replicated(in Input) finding {
	names := slices.Clone(in.Environment.Rules.Gates.Replicated)
	if in.Place != "" && !slices.Contains(names, in.Place) {
		names = append(names, in.Place) // a release is one once it is where releases live
	}
	inputs := map[string]any{"rules": names, "release": in.Candidate.Release}
	if len(names) == 0 {
		return allow(inputs, fmt.Sprintf("%s asks for no copies elsewhere.", in.Environment.Name))
	}
	var there, missing []string
	hint := "it opens once they are there; `towpath replication list` shows how far each place is, and what is in its way"
	for _, name := range names {
		r, ok := replicationOf(in, name)
		switch {
		case !ok && name == in.Place:
			missing = append(missing, fmt.Sprintf("%s is not yet where the releases live (%s).", label(in), name))
		case !ok && slices.Contains(in.Rules, name): // who promotes it has it copied
			missing = append(missing, fmt.Sprintf("%s is not copied by %s yet.", label(in), name))
		case !ok:
			missing = append(missing, fmt.Sprintf("%s is not copied by %s: there is no such rule.", label(in), name))
			hint = fmt.Sprintf("make the rule with `towpath replication add %s --to REGISTRY/REPOSITORY`; `towpath replication list` shows those that there are", name)
		case r.Done.IsZero() && r.Error != "":
			missing = append(missing, fmt.Sprintf("%s could not be copied by %s yet: %s.", label(in), name, r.Error))
		case r.Done.IsZero():
			missing = append(missing, fmt.Sprintf("%s is being copied by %s.", label(in), name))
		case slices.Contains(in.Environment.Rules.Gates.Replicated, name) && len(since(in, r)) > 0:
			text := fmt.Sprintf("%s was copied by %s, and without what is attached to it since: %s.", label(in), name, strings.Join(since(in, r), ", "))
			if r.Error != "" {
				text += fmt.Sprintf(" The last attempt failed: %s.", strings.TrimSuffix(r.Error, "."))
			}
			missing = append(missing, text)
		default:
			there = append(there, fmt.Sprintf("%s was copied by %s.", label(in), name))
		}
	}
	if len(missing) > 0 {
		return wait(inputs, hint, missing...)
	}
	return allow(inputs, there...)
}

// ToAsk are the rules that the gate replicated waits for and that copy the release
// only when they are asked: it was published before the rule was made, or it was
// copied, is not wanted there any more, and something was attached to it since.
func ToAsk(in Input) (out []towpath.ReplicationName) {
	for _, name := range in.Environment.Rules.Gates.Replicated {
		r, known := replicationOf(in, name)
		behind := r.Asked.IsZero() && !r.Done.IsZero() && len(since(in, r)) > 0
		if (!known || behind) && slices.Contains(in.Rules, name) {
			out = append(out, name)
		}
	}
	return out
}

// since lists what a verifier needs and a copy lacks, in words.
func since(in Input, r towpath.Replication) (out []string) {
	if !slices.Contains(r.Candidates, in.Candidate.ID) {
		out = append(out, "what it was published with")
	}
	n := 0
	for _, a := range in.Attestations {
		if a.Verified() && !slices.Contains(r.Attached, a.Artifact) {
			n++
		}
	}
	switch n {
	case 0:
	case 1:
		out = append(out, "a statement")
	default:
		out = append(out, fmt.Sprintf("%d statements", n))
	}
	return out
}

func replicationOf(in Input, name towpath.ReplicationName) (towpath.Replication, bool) {
	for _, r := range in.Replications {
		if r.Rule == name && r.Project == in.Candidate.Project && r.Release == in.Candidate.Release {
			return r, true
		}
	}
	return towpath.Replication{}, false
}
