package evidence

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// maxStatements bounds what one VEX document may say.
const maxStatements = 1000

// vex is what a VEX document says, as it is signed: of the type of a scan, which it
// differs from by naming no tool.
type vex struct {
	Format     string                 `json:"format"` // of the document: "cyclonedx"
	Report     towpath.Digest         `json:"report"` // of its bytes
	Made       time.Time              `json:"made,omitzero"`
	Statements []towpath.VEXStatement `json:"statements"`
}

// statementsOf reads what a VEX document says. It refuses one that closes more than
// the same vulnerability in a component that it names, or less than it seems to.
func statementsOf(all []cycloneDXVulnerability, parts parts) ([]towpath.VEXStatement, error) {
	wrong := func(v cycloneDXVulnerability, format string, args ...any) error {
		return towpath.E(towpath.KindInvalid, opReport, "the document calls %s %s"+format, append([]any{short(v.ID), short(string(v.Analysis.State))}, args...)...).
			WithHint(`name each component of the release in "affects", by its package URL or by the bom-ref of a component in the document that has one: {"ref": "pkg:npm/left-pad@1.3.0"}`)
	}
	var out []towpath.VEXStatement
	for _, v := range all {
		state := v.Analysis.State
		if v.ID == "" {
			return nil, towpath.E(towpath.KindInvalid, opReport, "the document calls something %s, and does not say which vulnerability", short(string(state))).
				WithHint("give each vulnerability its id, as scanners name it")
		}
		if !state.Known() {
			return nil, towpath.E(towpath.KindInvalid, opReport, "the document calls %s %q, which is no state of CycloneDX", short(v.ID), short(string(state))).
				WithHint("it is one of resolved, resolved_with_pedigree, exploitable, in_triage, false_positive, not_affected")
		}
		s := towpath.VEXStatement{ID: identity(v.ID), State: state, Justification: wordOf(v.Analysis.Justification)}
		if len(v.Affects) == 0 {
			if state.Closes() {
				return nil, wrong(v, ", and does not say in which component")
			}
			out = append(out, s)
		}
		for _, a := range v.Affects {
			p := parts.of(a.Ref)
			s.PURL, s.Ref, s.In = p.purl, p.ref, p.in
			if s.Component() == "" {
				s.PURL, s.Ref, s.In = "", "", ""
			}
			switch {
			case state.Closes() && s.Component() == "":
				return nil, wrong(v, " in %q, and nobody can tell which component that is", short(a.Ref))
			case state.Closes() && len(a.Versions) > 0:
				return nil, wrong(v, " in some versions of %q, which are not read: a package URL has the one that it is about", short(a.Ref))
			}
			out = append(out, s)
		}
	}
	if len(out) > maxStatements {
		return nil, towpath.E(towpath.KindExhausted, opReport, "the document says %d things, and at most %d are read", len(out), maxStatements).
			WithHint("attach it in parts, or without what is not in the release")
	}
	return out, nil
}

// wordOf is text from outside that is one word, as all justifications are; else none.
func wordOf(text string) string {
	if len(text) > 50 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return text
}

// isVEX reports whether a statement of the type of a scan is a VEX document.
func isVEX(predicate json.RawMessage) bool {
	var p struct {
		Tool       string
		Statements *json.RawMessage
	}
	return json.Unmarshal(predicate, &p) == nil && p.Tool == "" && p.Statements != nil
}

// ReadVEX reads what a statement says of findings.
func ReadVEX(predicate json.RawMessage) (*towpath.VEXFacts, error) {
	wrong := func(format string, args ...any) *towpath.Error {
		return towpath.E(towpath.KindInvalid, "evidence.vex", "the predicate is no VEX document: "+format, args...)
	}
	var v vex
	if err := json.Unmarshal(predicate, &v); err != nil {
		return nil, wrong("it can't be read").WithCause(err)
	}
	if n := len(v.Statements); n == 0 || n > maxStatements {
		return nil, wrong("it says %d things; 1 to %d are read", n, maxStatements)
	}
	for i, s := range v.Statements {
		switch {
		case s.ID == "" || !s.State.Known():
			return nil, wrong("it does not say of what, or in which state")
		case s.State.Closes() && s.Component() == "":
			return nil, wrong("it does not say in which component %s is %s", short(s.ID), s.State)
		}
		v.Statements[i] = towpath.VEXStatement{
			ID: identity(s.ID), State: s.State, Justification: wordOf(s.Justification),
			PURL: identity(s.PURL), Ref: identity(s.Ref), In: identity(s.In),
		}
	}
	return &towpath.VEXFacts{Made: v.Made, Statements: v.Statements}, nil
}
