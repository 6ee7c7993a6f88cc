package towpath

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// ApproverRoles are the roles that may give an approval; see the table of package
// access.
func ApproverRoles() []Role { return []Role{RoleApprover, RoleOperator, RoleAdmin} }

// checkKey is what external systems call a check: "ci/load-test".
var checkKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,99}$`)

// CheckKeyFault is what is wrong with the key of an external check.
func CheckKeyFault(key string) *Fault {
	if checkKey.MatchString(key) {
		return nil
	}
	return &Fault{Message: fmt.Sprintf("%q is no key of a check", short(key)), Hint: "use up to 100 letters, digits and . _ / : @ -, as in ci/load-test"}
}

// SourceFault is what is wrong with the ID of a builder or the name of a repository.
func SourceFault(source string) *Fault {
	if source == "" || len(source) > maxText || strings.Contains(source, " ") || !OneLine(source) {
		return &Fault{Message: fmt.Sprintf("%q can't be matched", short(source)), Hint: "write it as the provenance names it, as in https://ci.example.com/towpath"}
	}
	return nil
}

// BranchPatternFault is what is wrong with a pattern of branches, as package gate
// matches them.
func BranchPatternFault(pattern string) *Fault {
	_, err := path.Match(strings.TrimSuffix(pattern, "/**"), "")
	if err != nil || pattern == "" || len(pattern) > maxText || strings.HasPrefix(pattern, "refs/") || !OneLine(pattern) {
		return &Fault{Message: fmt.Sprintf("%q is no pattern of a branch", short(pattern)), Hint: "write a branch, or a pattern such as release/* or team/**"}
	}
	return nil
}

// RoleFault is what is wrong with a role that is to approve.
func RoleFault(role string) *Fault {
	switch {
	case slices.Contains(ApproverRoles(), Role(role)):
		return nil
	case slices.Contains(Roles(), Role(role)):
		return &Fault{Message: fmt.Sprintf("the role %s can't approve", role)}
	}
	return &Fault{Message: fmt.Sprintf("there is no role %q", short(role))}
}

// Fault is what is wrong with a rule that no release can meet.
func (r SignedRule) Fault() *Fault {
	if len(r.Keys) == 0 || r.Count <= len(r.Keys) {
		return nil
	}
	return &Fault{Message: fmt.Sprintf("%d signatures are wanted, and only %d keys count", r.Count, len(r.Keys)), Hint: "name more keys, or ask for fewer signatures"}
}

func (g GateRules) faults(f *faults) {
	within(f, "gates.soak", g.Soak, 0, MaxSoak)
	within(f, "gates.age", g.Age, 0, MaxAge)
	if r := g.Approvals; r != nil {
		within(f, "gates.approvals.count", r.Count, 1, MaxApprovals)
		each(f, "gates.approvals.roles", r.Roles, RoleFault)
	}
	each(f, "gates.checks", g.Checks, CheckKeyFault)
	each(f, "gates.replicated", g.Replicated, NameFault)
	if r := g.Signed; r != nil {
		within(f, "gates.signed.count", r.Count, 1, MaxSignatures)
		each(f, "gates.signed.keys", r.Keys, NameFault)
		f.at("gates.signed.count", r.Fault())
	}
	if r := g.Provenance; r != nil {
		each(f, "gates.provenance.keys", r.Keys, NameFault)
		each(f, "gates.provenance.builders", r.Builders, SourceFault)
		each(f, "gates.provenance.repositories", r.Repositories, SourceFault)
		each(f, "gates.provenance.branches", r.Branches, BranchPatternFault)
	}
	if r := g.SBOM; r != nil {
		each(f, "gates.sbom.keys", r.Keys, NameFault)
	}
	if r := g.Scan; r != nil {
		r.faults(f)
	}
	windowFaults(f, g.Windows)
}

func (r ScanRule) faults(f *faults) {
	each(f, "gates.scan.keys", r.Keys, NameFault)
	oneOf(f, "gates.scan.severity", r.Severity, Severities()...)
	optional(f, "gates.scan.maxAge", r.MaxAge, MinScanAge, MaxScanAge)
	each(f, "gates.scan.tools", r.Tools, TextFault)
	if len(r.Exceptions) > MaxListed {
		f.say("gates.scan.exceptions", "there are %d exceptions, and at most %d are read", len(r.Exceptions), MaxListed)
		return
	}
	for i, x := range r.Exceptions {
		at := fmt.Sprintf("gates.scan.exceptions[%d].", i)
		f.at(at+"id", TextFault(x.ID))
		f.at(at+"reason", TextFault(x.Reason))
		f.at(at+"until", DateFault(x.Until))
	}
}
