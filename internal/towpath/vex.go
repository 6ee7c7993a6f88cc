package towpath

import "time"

// VEXFacts is what somebody who is no scanner says of findings: in what of a release
// a vulnerability does no harm, or does.
type VEXFacts struct {
	Made       time.Time      `json:"made,omitzero"` // as the statement says
	Statements []VEXStatement `json:"statements"`
}

// VEXStatement says what a vulnerability is to one component of a release.
type VEXStatement struct {
	ID            string   `json:"id"`
	State         VEXState `json:"state"`
	Justification string   `json:"justification,omitempty"` // "code_not_reachable"
	// The component: by its package URL; without one by what reports call it and its
	// name and version. None at all: every component, which only one that closes
	// nothing may say.
	PURL string `json:"purl,omitempty"`
	Ref  string `json:"ref,omitempty"`
	In   string `json:"in,omitempty"`
}

// VEXState is the state of a vulnerability in a component, as CycloneDX names it:
// https://cyclonedx.org/docs/1.6/json/#vulnerabilities_items_analysis_state.
type VEXState string

// The states.
const (
	VEXResolved             VEXState = "resolved"
	VEXResolvedWithPedigree VEXState = "resolved_with_pedigree"
	VEXExploitable          VEXState = "exploitable"
	VEXInTriage             VEXState = "in_triage"
	VEXFalsePositive        VEXState = "false_positive"
	VEXNotAffected          VEXState = "not_affected"
)

// Known reports whether it is one of the states.
func (s VEXState) Known() bool { return s.Closes() || s == VEXExploitable || s == VEXInTriage }

// Closes reports whether a finding of that state is none any more.
func (s VEXState) Closes() bool {
	switch s {
	case VEXResolved, VEXResolvedWithPedigree, VEXFalsePositive, VEXNotAffected:
		return true
	}
	return false
}

// Component is what the statement names a component by; empty: every one.
func (s VEXStatement) Component() string {
	if s.PURL != "" || s.Ref == "" || s.In == "" {
		return s.PURL
	}
	return s.Ref + "\x00" + s.In
}

// About reports whether the statement is about this vulnerability in this very
// component.
func (s VEXStatement) About(f ScanFinding) bool {
	if s.ID != f.ID || s.Component() == "" {
		return false
	}
	return s.Component() == VEXStatement{PURL: f.PURL, Ref: f.Ref, In: f.In}.Component()
}
