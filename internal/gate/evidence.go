package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// signed wants signatures over the release by enough different keys. One that
// is missing waits rather than denies: it can be attached at any time.
func signed(in Input) finding {
	rule := in.Environment.Rules.Gates.Signed
	inputs := map[string]any{"rule": rule}
	if rule == nil {
		return allow(inputs, fmt.Sprintf("%s asks for no signatures.", in.Environment.Name))
	}
	s := statements(in, towpath.EvidenceSignature, rule.Keys)
	inputs["seen"] = s.seen
	names := signers(s.good)
	need := max(1, rule.Count)
	reasons := append([]string{fmt.Sprintf("%d of %s%s%s.", len(names), count(need, "signature"), by(rule.Keys), colon(names))}, s.remarks...)
	if len(names) < need {
		return wait(inputs, "sign the release with a key that is trusted: cosign sign --key, or towpath release build --key; towpath trust list shows the keys", reasons...)
	}
	return allow(inputs, reasons...)
}

// signers are who signed, each by one name. Who it is is told by the key itself, so one
// that has two names counts once. So do a key and the identities that it is certified
// for: whoever may push can show one signature as that of each of them.
func signers(all []towpath.Attestation) []string {
	same := map[string]string{} // an ID, and another one of the same signer; the last one has none
	last := func(id string) string {
		for same[id] != "" {
			id = same[id]
		}
		return id
	}
	for _, a := range all {
		if is, by := last(a.KeyID), last(cmp.Or(a.Hand, a.KeyID)); is != by {
			same[is] = by
		}
	}
	known := map[string]bool{}
	var names []string
	for _, a := range all {
		if who := last(a.KeyID); !known[who] {
			known[who] = true
			names = append(names, string(a.Key))
		}
	}
	slices.Sort(names)
	return names
}

// provenance wants a signed statement that this candidate's release comes from
// where the rules say. It denies when all that say where the candidate comes
// from say something else, for they don't change.
func provenance(in Input) finding {
	rule := in.Environment.Rules.Gates.Provenance
	inputs := map[string]any{"rule": rule}
	if rule == nil {
		return allow(inputs, fmt.Sprintf("%s asks for no provenance.", in.Environment.Name))
	}
	s := statements(in, towpath.EvidenceProvenance, rule.Keys)
	inputs["seen"] = s.seen
	var good, wrong []string
	for _, a := range s.good {
		switch p := a.Provenance; {
		case p == nil:
			s.remarks = append(s.remarks, fmt.Sprintf("The provenance signed with %s does not count: it can't be read as SLSA provenance.", a.Key))
		case p.Commit != in.Candidate.Commit:
			s.remarks = append(s.remarks, fmt.Sprintf("The provenance signed with %s is of another build, of commit %s.", a.Key, cmp.Or(towpath.Short(p.Commit), "(none)")))
		default:
			if problems := contradictions(*rule, *p); len(problems) > 0 {
				for _, problem := range problems {
					wrong = append(wrong, fmt.Sprintf("The provenance signed with %s says that it was built %s.", a.Key, problem))
				}
				continue
			}
			good = append(good, fmt.Sprintf("Built by %s from %s at %s, says %s.", quote(p.Builder), cmp.Or(p.Repository, "an unnamed repository"), cmp.Or(branchOf(p.Ref), "an unnamed branch"), a.Key))
		}
	}
	wrong = slices.Compact(wrong)
	switch {
	case len(good) == 0 && len(wrong) > 0:
		return deny(inputs, "build it where these rules allow; towpath release build has --builder-id and --repository for who builds, and from where", append(wrong, s.remarks...)...)
	case len(good) == 0:
		none := fmt.Sprintf("No provenance that counts%s says that %s was built from commit %s.", by(rule.Keys), label(in), towpath.Short(in.Candidate.Commit))
		return wait(inputs, "build and publish with a key that is trusted: towpath release build --key; towpath trust list shows the keys", append([]string{none}, s.remarks...)...)
	}
	slices.Sort(good)
	good = slices.Compact(good)
	if !rule.Reviewed {
		return allow(inputs, append(good, s.remarks...)...)
	}
	return reviewed(in, inputs, good)
}

// reviewed wants somebody who is no author of what is new to have agreed to
// the candidate, in whichever environment.
func reviewed(in Input, inputs map[string]any, good []string) finding {
	inputs["authors"] = authorNames(in)
	if hint, why := unknownAuthors(in); why != "" {
		return wait(inputs, hint, append([]string{why}, good...)...)
	}
	authors := authorNames(in)
	last := map[towpath.AccountName]towpath.Approval{} // each person's last word
	for _, a := range slices.Concat(in.Reviews, in.Approvals) {
		if a.Candidate != in.Candidate.ID || a.By == "" || a.By == towpath.System().Account || slices.Contains(authors, string(a.By)) {
			continue
		}
		if old, ok := last[a.By]; !ok || laterBallot(a, old) > 0 {
			last[a.By] = a
		}
	}
	var by []string
	for who, a := range last {
		if a.Approve {
			by = append(by, string(who))
		}
	}
	slices.Sort(by)
	inputs["reviewers"] = by
	if len(by) == 0 {
		return wait(inputs, "somebody who is no author approves it, here or in an environment before", append([]string{"Nobody but its authors has reviewed it."}, good...)...)
	}
	return allow(inputs, append(good, fmt.Sprintf("Reviewed by %s.", list(by)))...)
}

// contradictions says in which ways a provenance is not what the rules ask for,
// each as the end of a sentence.
func contradictions(rule towpath.ProvenanceRule, p towpath.ProvenanceFacts) []string {
	var out []string
	if len(rule.Builders) > 0 && !slices.Contains(rule.Builders, p.Builder) {
		out = append(out, fmt.Sprintf("by %s, which is none of the builders that count: %s", quote(p.Builder), list(rule.Builders)))
	}
	if len(rule.Repositories) > 0 && !slices.Contains(rule.Repositories, p.Repository) {
		out = append(out, fmt.Sprintf("from the repository %s, and only these count: %s", quote(p.Repository), list(rule.Repositories)))
	}
	if len(rule.Branches) > 0 && !matchesBranch(rule.Branches, p.Ref) {
		out = append(out, fmt.Sprintf("at %s, and only these branches count: %s", quote(p.Ref), list(rule.Branches)))
	}
	return out
}

// sbom wants a signed bill of materials.
func sbom(in Input) finding {
	rule := in.Environment.Rules.Gates.SBOM
	inputs := map[string]any{"rule": rule}
	if rule == nil {
		return allow(inputs, fmt.Sprintf("%s asks for no bill of materials.", in.Environment.Name))
	}
	s := statements(in, towpath.EvidenceSBOM, rule.Keys)
	inputs["seen"] = s.seen
	var good []string
	for _, a := range s.good {
		switch b := a.SBOM; {
		case b == nil:
			s.remarks = append(s.remarks, fmt.Sprintf("The bill of materials signed with %s does not count: it can't be read.", a.Key))
		case rule.Complete && b.Incomplete:
			s.remarks = append(s.remarks, fmt.Sprintf("The bill of materials signed with %s does not count: it says that it is incomplete.", a.Key))
		default:
			good = append(good, fmt.Sprintf("A %s bill of materials lists %s, signed with %s.", b.Format, count(b.Components, "component"), a.Key))
		}
	}
	if len(good) == 0 {
		none := fmt.Sprintf("No bill of materials that counts%s is attached to %s.", by(rule.Keys), label(in))
		return wait(inputs, "build and publish with a key that is trusted: towpath release build --key, or attach one with cosign attest --type cyclonedx",
			append([]string{none}, s.remarks...)...)
	}
	return allow(inputs, append(slices.Compact(good), s.remarks...)...)
}

// Unbelieved says, as sentences, which of the evidence that an environment's rules
// ask for what runs there had, and has no more because keys were revoked. What it
// never had is for the way in only.
func Unbelieved(env towpath.Environment, c towpath.Candidate, said []towpath.Attestation) []string {
	env.Rules.Gates = unreviewed(env.Rules.Gates)
	in := Input{Environment: env, Candidate: c, Attestations: said}
	var out []string
	for _, of := range []struct {
		is    towpath.EvidenceType
		judge judge
	}{{towpath.EvidenceSignature, signed}, {towpath.EvidenceProvenance, provenance}, {towpath.EvidenceSBOM, sbom}} {
		if !slices.ContainsFunc(said, func(a towpath.Attestation) bool { return a.Type == of.is && a.Rule == RuleRevoked }) {
			continue
		}
		if f := of.judge(in); f.outcome != towpath.Allow {
			out = append(out, strings.Join(f.reasons, " "))
		}
	}
	return out
}

// RuleRevoked is the rule that a statement broke whose key was revoked, as package
// signing calls it.
const RuleRevoked = "revoked-key"

// unreviewed are rules that ask for no review: that is said on the way in.
func unreviewed(g towpath.GateRules) towpath.GateRules {
	if g.Provenance != nil {
		p := *g.Provenance
		p.Reviewed = false
		g.Provenance = &p
	}
	return g
}

// said is what the statements of a type come to.
type said struct {
	good    []towpath.Attestation // verified, with a key that the rule names
	remarks []string              // why others don't count
	seen    []seen                // at most [shown] that count and as many that don't
}

// seen is a statement in a verdict's inputs.
type seen struct {
	Artifact towpath.Digest  `json:"artifact"`
	Key      towpath.KeyName `json:"key,omitempty"`
	Recorded time.Time       `json:"recorded"`
	Refused  string          `json:"refused,omitempty"`
	Facts    any             `json:"facts,omitempty"`
}

// statements sorts the attestations of a type into those that count and the
// rest, in an order that does not depend on theirs.
func statements(in Input, t towpath.EvidenceType, keys []towpath.KeyName) said {
	all := slices.DeleteFunc(slices.Clone(in.Attestations), func(a towpath.Attestation) bool { return a.Type != t })
	slices.SortFunc(all, func(a, b towpath.Attestation) int {
		return cmp.Or(a.Recorded.Compare(b.Recorded), cmp.Compare(a.Artifact, b.Artifact), cmp.Compare(a.Bundle, b.Bundle),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.KeyID, b.KeyID), cmp.Compare(a.Refused, b.Refused))
	})
	out := said{seen: []seen{}}
	var useless []towpath.Attestation
	for _, a := range all {
		switch {
		case !a.Verified():
			out.remarks = append(out.remarks, fmt.Sprintf("A %s does not count: %s.", nameOf(t), cmp.Or(a.Refused, "it was not verified")))
			useless = append(useless, a)
		case len(keys) > 0 && !slices.Contains(keys, a.Key):
			out.remarks = append(out.remarks, fmt.Sprintf("A %s does not count: it was signed with %s.", nameOf(t), a.Key))
			useless = append(useless, a)
		default:
			out.good = append(out.good, a)
		}
	}
	for _, a := range slices.Concat(out.good[:min(len(out.good), shown)], useless[:min(len(useless), shown)]) {
		x := seen{Artifact: a.Artifact, Key: a.Key, Recorded: a.Recorded, Refused: a.Refused}
		switch {
		case a.Provenance != nil:
			x.Facts = a.Provenance
		case a.SBOM != nil:
			x.Facts = a.SBOM
		case a.Scan != nil:
			x.Facts = map[string]any{"tool": a.Scan.Tool, "total": a.Scan.Total, "made": saidAt(a)}
		case a.VEX != nil:
			x.Facts = map[string]any{"statements": len(a.VEX.Statements), "made": saidAt(a)}
		}
		out.seen = append(out.seen, x)
	}
	slices.Sort(out.remarks)
	out.remarks = slices.Compact(out.remarks)
	if n := len(out.remarks); n > shown {
		out.remarks = append(out.remarks[:shown], fmt.Sprintf("%d more do not count.", n-shown))
	}
	return out
}

func nameOf(t towpath.EvidenceType) string {
	if t == towpath.EvidenceSBOM {
		return "bill of materials"
	}
	return string(t)
}

// by names the keys that a rule insists on.
func by(keys []towpath.KeyName) string {
	if len(keys) == 0 {
		return ""
	}
	return " by " + list(slices.Sorted(slices.Values(textOf(keys))))
}
