package cli

import (
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// evidenceWords are the types of evidence that rules ask for, as people say them.
var evidenceWords = []struct {
	evidence towpath.EvidenceType
	words    string
}{
	{towpath.EvidenceSignature, "a signature"}, {towpath.EvidenceProvenance, "provenance"},
	{towpath.EvidenceSBOM, "a bill of materials"}, {towpath.EvidenceScan, "a scan"},
}

// asks says what is asked for, and which evidence is not.
func (v *verifiedRelease) asks(o releaseChecks) {
	v.AskedFor = []string{"its bytes", "no quarantine"}
	var rules []string
	for _, e := range evidenceWords {
		switch {
		case o.env != "" && slices.Contains(v.Wanted, e.evidence):
			rules = append(rules, e.words)
		case e.evidence != towpath.EvidenceSignature || o.env != "" && len(o.keys) == 0:
			v.Unasked = append(v.Unasked, e.words)
		}
	}
	switch {
	case len(rules) > 0:
		v.AskedFor = append(v.AskedFor, strings.Join(rules, ", ")+" by the rules of "+o.env)
	case o.env == "" && len(o.keys) == 0:
		v.AskedFor = append(v.AskedFor, "a signature by a key that is trusted in the project")
	}
	if len(o.keys) > 0 {
		v.AskedFor = append(v.AskedFor, "a signature by "+strings.Join(o.keys, " or "))
	}
	if o.rebuild {
		v.AskedFor = append(v.AskedFor, "the same digest from its commit")
	}
}

// verdict is what to say of a release that has everything.
func (v verifiedRelease) verdict() string {
	if v.Environment != "" && len(v.Wanted) == 0 {
		return "everything that is asked for holds; " + string(v.Environment) + " asks for no evidence"
	}
	return "everything that is asked for holds"
}
