package drift

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// Desired is what was deployed to a target.
type Desired struct {
	Revision towpath.RevisionID
	Settings towpath.Digest // of the rendered settings; empty: not known
}

// Differences lists how what was seen of a target differs from what is desired
// there. Seen is nil when the agent knows nothing of the target.
func Differences(want Desired, seen *towpath.Observation) []towpath.Difference {
	if seen == nil {
		return []towpath.Difference{{Kind: towpath.DiffersGone, Sentence: "The agent knows nothing of it: nothing of the revision runs."}}
	}
	var out []towpath.Difference
	say := func(kind towpath.DifferenceKind, subject, format string, args ...any) {
		out = append(out, towpath.Difference{Kind: kind, Subject: subject, Sentence: fmt.Sprintf(format, args...)})
	}
	if seen.Closed != "" {
		say(towpath.DiffersPort, seen.Address, "Nobody reaches it at %s: %s.", orElse(seen.Address, "its address"), strings.TrimSuffix(seen.Closed, "."))
	}
	if seen.Revision != want.Revision {
		has := string(seen.Revision)
		if has == "" {
			has = "none"
		}
		say(towpath.DiffersRevision, has, "The revision with the traffic is %s, and %s was deployed.", has, want.Revision)
		return out // what else is seen is of that one
	}
	switch {
	case seen.Wanted > 0 && seen.Instances == 0:
		say(towpath.DiffersGone, "", "%s", noneRuns(seen.Wanted))
	case seen.Wanted > 0 && seen.Instances != seen.Wanted:
		say(towpath.DiffersInstances, "", "%d of its %s run.", seen.Instances, plural(seen.Wanted))
	}
	for _, in := range seen.Out {
		say(towpath.DiffersUnhealthy, fmt.Sprintf("instance %d", in.Index), "Instance %d runs and gets no requests: %s.", in.Index, strings.TrimSuffix(in.Why, "."))
	}
	if n := seen.Strays; n > 0 {
		say(towpath.DiffersInstances, "stray", "%s", straySentence(n))
	}
	if want.Settings != "" && seen.Settings != "" && want.Settings != seen.Settings {
		say(towpath.DiffersSettings, "", "It runs with other settings than those that were deployed.")
	}
	for _, name := range seen.Variables {
		say(towpath.DiffersSettings, name, "The variable %s of its processes is not what its settings make of it now.", name)
	}
	for _, f := range seen.Files {
		say(towpath.DiffersFile, f.Path, "%s", f.Sentence())
	}
	if more := seen.FilesChanged - len(seen.Files); more > 0 {
		say(towpath.DiffersFile, "", "%d more of its files were changed.", more)
	}
	for _, f := range seen.Unread {
		say(towpath.DiffersUnknown, f.Path, "%s", f.Sentence())
	}
	if more := seen.FilesUnread - len(seen.Unread); more > 0 {
		say(towpath.DiffersUnknown, "more", "%d more of its files can't be read.", more)
	}
	if seen.FilesPartly != "" {
		say(towpath.DiffersUnknown, "rest", "Not all of its files were looked at: %s. Whether the rest is as it was nobody knows.", strings.TrimSuffix(seen.FilesPartly, "."))
	}
	return out
}

func straySentence(n int) string {
	if n == 1 {
		return "1 instance too many runs: it is in none of its revisions and gets no traffic."
	}
	return fmt.Sprintf("%d instances too many run: they are in none of its revisions and get no traffic.", n)
}

func noneRuns(wanted int) string {
	if wanted == 1 {
		return "Its only instance does not run."
	}
	return "None of its " + plural(wanted) + " runs."
}

func plural(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Repairable reports whether replacing what runs can help. It doesn't give an
// address back that somebody else has: the router takes it as soon as it is free.
// And what nobody could look at is no reason to replace anything.
func Repairable(differences []towpath.Difference) bool {
	return slices.ContainsFunc(differences, repairable)
}

func repairable(d towpath.Difference) bool {
	return d.Kind != towpath.DiffersPort && d.Kind != towpath.DiffersUnknown
}

// NotRepairable says, for people, why replacing what runs would not help.
func NotRepairable(differences []towpath.Difference) string {
	if slices.ContainsFunc(differences, func(d towpath.Difference) bool { return d.Kind == towpath.DiffersPort }) {
		return "Replacing what runs would not help; the router takes the address as soon as it is free. `ss -ltnp` on its host shows who has it."
	}
	return "Nothing is replaced because of what can't be looked at: see to it on its host that the agent can read its own folder (its disk, its permissions). " +
		"`towpath repair --force` puts the files in place anew all the same."
}
