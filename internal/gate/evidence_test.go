package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// with changes one attestation of the passing input.
func with(t towpath.EvidenceType, change func(*towpath.Attestation)) func(*Input) {
	return func(in *Input) {
		for i := range in.Attestations {
			if in.Attestations[i].Type == t {
				change(&in.Attestations[i])
			}
		}
	}
}

func TestSigned(t *testing.T) {
	rule := func(r towpath.SignedRule, keys ...towpath.KeyName) func(*Input) {
		return func(in *Input) {
			in.Environment.Rules.Gates.Signed, in.Attestations = &r, nil
			for _, k := range keys {
				in.Attestations = append(in.Attestations, statement(towpath.EvidenceSignature, k))
			}
		}
	}
	run(t, towpath.GateSigned, []test{
		{name: "allows a signature of a trusted key", outcome: towpath.Allow, says: "1 of 1 signature: builder-2026."},
		{name: "allows where none is asked for", outcome: towpath.Allow, says: "prod asks for no signatures", change: func(in *Input) {
			in.Environment.Rules.Gates.Signed, in.Attestations = nil, nil
		}},
		{name: "waits without one", outcome: towpath.Wait, says: "0 of 1 signature", hints: "cosign sign --key", change: rule(towpath.SignedRule{})},
		{name: "does not take a provenance for a signature", outcome: towpath.Wait, says: "0 of 1", change: func(in *Input) { in.Attestations = in.Attestations[1:] }},
		{name: "does not count what was refused, and says why", outcome: towpath.Wait, says: "A signature does not count: the key was revoked.",
			change: with(towpath.EvidenceSignature, func(a *towpath.Attestation) { a.Refused = "the key was revoked" })},
		{name: "does not count what nobody verified", outcome: towpath.Wait, says: "it was not verified", change: with(towpath.EvidenceSignature, func(a *towpath.Attestation) { a.Key = "" })},
		{name: "wants the keys that are named", outcome: towpath.Wait, says: "0 of 1 signature by security. A signature does not count: it was signed with builder-2026.", change: rule(towpath.SignedRule{Keys: []towpath.KeyName{"security"}}, "builder-2026")},
		{name: "allows one of the keys that are named", outcome: towpath.Allow, says: "1 of 1 signature by builder-2026, builder-2027: builder-2027.", change: rule(towpath.SignedRule{Keys: []towpath.KeyName{"builder-2027", "builder-2026"}}, "builder-2027")},
		{name: "waits for the second of two", outcome: towpath.Wait, says: "1 of 2 signatures", change: rule(towpath.SignedRule{Count: 2}, "builder-2026")},
		{name: "counts a key once", outcome: towpath.Wait, says: "1 of 2", change: rule(towpath.SignedRule{Count: 2}, "builder-2026", "builder-2026")},
		{name: "counts a key with two names once", outcome: towpath.Wait, says: "1 of 2", change: func(in *Input) {
			rule(towpath.SignedRule{Count: 2}, "builder-2026", "ci")(in)
			in.Attestations[1].KeyID = in.Attestations[0].KeyID
		}},
		{name: "counts a key, and an identity that it is certified for, once", outcome: towpath.Wait, says: "1 of 2 signatures", change: func(in *Input) {
			rule(towpath.SignedRule{Count: 2}, "ci", "builder-2026")(in)
			in.Attestations[0].Hand = in.Attestations[1].KeyID
		}},
		{name: "counts identities that one key is certified for once, whatever else they sign with", outcome: towpath.Wait, says: "1 of 2 signatures", change: func(in *Input) {
			rule(towpath.SignedRule{Count: 2}, "ci", "ci", "cd", "cd")(in)
			for i, hand := range []string{"one", "both", "both", "two"} {
				in.Attestations[i].Hand = hand
			}
		}},
		{name: "counts two identities", outcome: towpath.Allow, says: "2 of 2 signatures: cd, ci.", change: func(in *Input) {
			rule(towpath.SignedRule{Count: 2}, "ci", "cd")(in)
			in.Attestations[0].Hand, in.Attestations[1].Hand = "one", "two"
		}},
		{name: "allows with two keys", outcome: towpath.Allow, says: "2 of 2 signatures: builder-2026, security.", change: rule(towpath.SignedRule{Count: 2}, "security", "builder-2026")},
		{name: "waits when they can't be read", outcome: towpath.Wait, says: "could not be found out: the disk does not answer.", change: func(in *Input) {
			in.Errors = map[towpath.GateName]Unknown{towpath.GateSigned: {Why: "the disk does not answer"}}
		}},
	})
}

func TestProvenance(t *testing.T) {
	says := func(change func(*towpath.ProvenanceFacts)) func(*Input) {
		return with(towpath.EvidenceProvenance, func(a *towpath.Attestation) { change(a.Provenance) })
	}
	rule := func(change func(*towpath.ProvenanceRule)) func(*Input) {
		return func(in *Input) { change(in.Environment.Rules.Gates.Provenance) }
	}
	run(t, towpath.GateProvenance, []test{
		{name: "allows what comes from where it should", outcome: towpath.Allow, says: "Built by “https://ci.example.com” from https://git.example.com/shop at main, says builder-2026."},
		{name: "allows where none is asked for", outcome: towpath.Allow, says: "prod asks for no provenance", change: func(in *Input) {
			in.Environment.Rules.Gates.Provenance, in.Attestations = nil, nil
		}},
		{name: "waits without one", outcome: towpath.Wait, says: "No provenance that counts says that 1.4.0 was built from commit c2.", hints: "towpath release build --key", change: func(in *Input) { in.Attestations = nil }},
		{name: "does not take a signature for a provenance", outcome: towpath.Wait, says: "No provenance", change: func(in *Input) { in.Attestations = in.Attestations[:1] }},
		{name: "does not count what was refused", outcome: towpath.Wait, says: "A provenance does not count: it is about something else.",
			change: with(towpath.EvidenceProvenance, func(a *towpath.Attestation) { a.Refused = "it is about something else" })},
		{name: "does not count another key", outcome: towpath.Wait, says: "No provenance that counts by slsa", change: rule(func(r *towpath.ProvenanceRule) { r.Keys = []towpath.KeyName{"slsa"} })},
		{name: "does not count what can't be read", outcome: towpath.Wait, says: "can't be read as SLSA provenance", change: with(towpath.EvidenceProvenance, func(a *towpath.Attestation) { a.Provenance = nil })},
		{name: "does not count another build of the same content", outcome: towpath.Wait, says: "is of another build, of commit c1", change: says(func(p *towpath.ProvenanceFacts) { p.Commit = "c1" })},
		{name: "does not count one without a commit", outcome: towpath.Wait, says: "of commit (none)", change: says(func(p *towpath.ProvenanceFacts) { p.Commit = "" })},
		{name: "denies another builder", outcome: towpath.Deny, says: "The provenance signed with builder-2026 says that it was built by “laptop”, which is none of the builders that count: https://ci.example.com.", change: says(func(p *towpath.ProvenanceFacts) { p.Builder = "laptop" })},
		{name: "denies another repository", outcome: towpath.Deny, says: "only these count: https://git.example.com/shop", change: says(func(p *towpath.ProvenanceFacts) { p.Repository = "https://git.example.com/fork" })},
		{name: "denies another branch", outcome: towpath.Deny, says: "it was built at “feature”, and only these branches count: main, release/*.", change: says(func(p *towpath.ProvenanceFacts) { p.Ref = "feature" })},
		{name: "denies a tag with the name of a branch", outcome: towpath.Deny, says: "refs/tags/main", change: says(func(p *towpath.ProvenanceFacts) { p.Ref = "refs/tags/main" })},
		{name: "denies what names no branch", outcome: towpath.Deny, says: "only these branches", change: says(func(p *towpath.ProvenanceFacts) { p.Ref = "" })},
		{name: "allows a branch that matches", outcome: towpath.Allow, says: "at release/1.4", change: says(func(p *towpath.ProvenanceFacts) { p.Ref = "refs/heads/release/1.4" })},
		{name: "a star stands for no slash", outcome: towpath.Deny, change: says(func(p *towpath.ProvenanceFacts) { p.Ref = "release/1.4/x" })},
		{name: "two stars stand for what is below", outcome: towpath.Allow, change: func(in *Input) {
			in.Environment.Rules.Gates.Provenance.Branches = []string{"team/*/**"}
			says(func(p *towpath.ProvenanceFacts) { p.Ref = "team/a/b/c" })(in)
		}},
		{name: "what is below is not the folder", outcome: towpath.Deny, change: func(in *Input) {
			in.Environment.Rules.Gates.Provenance.Branches = []string{"team/*/**"}
			says(func(p *towpath.ProvenanceFacts) { p.Ref = "team/a" })(in)
		}},
		{name: "asks for nothing that the rule leaves out", outcome: towpath.Allow, change: func(in *Input) {
			in.Environment.Rules.Gates.Provenance = &towpath.ProvenanceRule{}
			says(func(p *towpath.ProvenanceFacts) { p.Builder, p.Repository, p.Ref = "laptop", "", "" })(in)
		}},
		{name: "one that is right is enough beside one that is wrong", outcome: towpath.Allow, change: func(in *Input) {
			wrong := statement(towpath.EvidenceProvenance, "laptop")
			wrong.Provenance = &towpath.ProvenanceFacts{Builder: "laptop", Commit: "c2"}
			in.Attestations = append(in.Attestations, wrong)
		}},
		{name: "waits for a review", outcome: towpath.Wait, says: "Nobody but its authors has reviewed it.", hints: "somebody who is no author", change: func(in *Input) { in.Reviews, in.Approvals = nil, nil }},
		{name: "an author's review is none", outcome: towpath.Wait, says: "Nobody but its authors", change: func(in *Input) {
			in.Approvals, in.Reviews = nil, []towpath.Approval{yes(*in, "ana")}
		}},
		{name: "a no is no review", outcome: towpath.Wait, says: "Nobody but its authors", change: func(in *Input) {
			in.Approvals = nil
			in.Reviews[0].Approve = false
		}},
		{name: "who agreed and then refused has not reviewed it", outcome: towpath.Wait, says: "Nobody but its authors", change: func(in *Input) {
			in.Approvals = nil
			no := yes(*in, "dina")
			no.Approve, no.At = false, no.At.Add(time.Second)
			in.Reviews = append([]towpath.Approval{no}, in.Reviews...)
		}},
		{name: "a review of another candidate is none", outcome: towpath.Wait, says: "Nobody but its authors", change: func(in *Input) {
			in.Approvals = nil
			in.Reviews[0].Candidate = "cnd_0"
		}},
		{name: "an approval of this promotion is a review too", outcome: towpath.Allow, says: "Reviewed by cleo.", change: func(in *Input) { in.Reviews = nil }},
		{name: "nobody can tell while an author is unknown", outcome: towpath.Wait, says: "No account has ben@example.com", change: func(in *Input) { in.Authors[1].Account = "" }},
		{name: "asks for no review when the rule does not", outcome: towpath.Allow, change: func(in *Input) {
			in.Environment.Rules.Gates.Provenance.Reviewed = false
			in.Reviews, in.Approvals, in.Authors = nil, nil, nil
		}},
	})
}

func TestSBOM(t *testing.T) {
	run(t, towpath.GateSBOM, []test{
		{name: "allows a complete one", outcome: towpath.Allow, says: "A CycloneDX 1.6 bill of materials lists 12 components, signed with builder-2026."},
		{name: "allows where none is asked for", outcome: towpath.Allow, says: "prod asks for no bill of materials", change: func(in *Input) {
			in.Environment.Rules.Gates.SBOM, in.Attestations = nil, nil
		}},
		{name: "waits without one", outcome: towpath.Wait, says: "No bill of materials that counts is attached to 1.4.0.", hints: "cosign attest", change: func(in *Input) { in.Attestations = in.Attestations[:2] }},
		{name: "does not count an incomplete one", outcome: towpath.Wait, says: "says that it is incomplete", change: with(towpath.EvidenceSBOM, func(a *towpath.Attestation) { a.SBOM.Incomplete = true })},
		{name: "counts an incomplete one where that is enough", outcome: towpath.Allow, change: func(in *Input) {
			in.Environment.Rules.Gates.SBOM.Complete = false
			in.Attestations[2].SBOM.Incomplete = true
		}},
		{name: "does not count what was refused", outcome: towpath.Wait, says: "A bill of materials does not count: it is forged.", change: with(towpath.EvidenceSBOM, func(a *towpath.Attestation) { a.Refused = "it is forged" })},
		{name: "does not count what can't be read", outcome: towpath.Wait, says: "can't be read", change: with(towpath.EvidenceSBOM, func(a *towpath.Attestation) { a.SBOM = nil })},
		{name: "does not count another key", outcome: towpath.Wait, says: "it was signed with builder-2026", change: func(in *Input) { in.Environment.Rules.Gates.SBOM.Keys = []towpath.KeyName{"security"} }},
	})
}

// TestStatements_AreBounded: whoever may push can attach a thousand useless
// signatures; a verdict stays readable.
func TestStatements_AreBounded(t *testing.T) {
	in := passing()
	for i := range 1000 {
		a := statement(towpath.EvidenceSignature, "")
		a.Refused, a.Recorded = "it is forged: "+time.Duration(i).String(), noon
		in.Attestations = append(in.Attestations, a)
	}
	if v := verdict(t, in, towpath.GateSigned); v.Outcome != towpath.Allow || len(v.Reasons) > shown+2 || len(v.Inputs) > 64<<10 {
		t.Errorf("%s with %d reasons and %d bytes of inputs", v.Outcome, len(v.Reasons), len(v.Inputs))
	}
}

// TestUnbelieved: what runs is told to have lost evidence only where it had it, and
// the rules ask for it.
func TestUnbelieved(t *testing.T) {
	revoked := func(types ...towpath.EvidenceType) func(*Input) {
		return func(in *Input) {
			for _, x := range types {
				with(x, func(a *towpath.Attestation) { a.Key, a.Refused, a.Rule = "", "the key was revoked", RuleRevoked })(in)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Input)
		want   []string // how each begins
	}{
		{"nothing of what counts", func(*Input) {}, nil},
		{"nothing of a review that is missing", func(in *Input) {
			in.Reviews, in.Approvals = nil, nil
			in.Attestations = append(in.Attestations, towpath.Attestation{Type: towpath.EvidenceProvenance, Refused: "the key was revoked", Rule: RuleRevoked})
		}, nil},
		{"nothing of what was never there", func(in *Input) { in.Attestations = nil }, nil},
		{"nothing where nobody asks for it", func(in *Input) {
			in.Environment.Rules.Gates = towpath.GateRules{}
			revoked(towpath.EvidenceSignature)(in)
		}, nil},
		{"nothing while another key's is enough", func(in *Input) {
			revoked(towpath.EvidenceSignature)(in)
			in.Attestations = append(in.Attestations, statement(towpath.EvidenceSignature, "security"))
		}, nil},
		{"the signature", revoked(towpath.EvidenceSignature), []string{"0 of 1 signature. A signature does not count: the key was revoked."}},
		{"all that it signed", revoked(towpath.EvidenceSignature, towpath.EvidenceProvenance, towpath.EvidenceSBOM), []string{"0 of 1 signature.", "No provenance that counts", "No bill of materials that counts"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := passing()
			tt.change(&in)
			got := Unbelieved(in.Environment, in.Candidate, in.Attestations)
			if len(got) != len(tt.want) {
				t.Fatalf("it says %q", got)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("it says %q, want %q", got[i], tt.want[i])
				}
			}
			if p := in.Environment.Rules.Gates.Provenance; p != nil && !p.Reviewed {
				t.Error("the caller's rules were changed")
			}
		})
	}
}
