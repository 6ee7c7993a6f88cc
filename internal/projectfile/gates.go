package projectfile

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

// maxApprovals bounds how many people must agree.
const maxApprovals = 20

// approverRoles are the roles that may give an approval; see the table of
// package access.
func approverRoles() []towpath.Role {
	return []towpath.Role{towpath.RoleApprover, towpath.RoleOperator, towpath.RoleAdmin}
}

func readGates(env object) towpath.GateRules {
	o, ok := env.child("gates")
	if !ok {
		return towpath.GateRules{}
	}
	o.only("soak", "age", "replicated", "mirrored", "approvals", "windows", "checks", "signed", "provenance", "sbom", "scan")
	g := towpath.GateRules{
		Soak:       o.duration("soak", 0, 0, 90*24*time.Hour),
		Age:        o.duration("age", 0, 0, 10*365*24*time.Hour),
		Replicated: readReplicated(o),
		Mirrored:   o.boolean("mirrored"),
		Approvals:  readApprovals(o),
		Windows:    readWindows(o),
		Checks:     readChecks(o),
		Signed:     readSigned(o),
		Provenance: readProvenance(o),
		SBOM:       readSBOM(o),
		Scan:       readScan(o),
	}
	if n, ok := o.value("soak"); ok && g.Soak > 0 {
		if _, ok := env.value("from"); !ok {
			o.r.problem(n, o.at("soak"), "there is no environment to soak in", "say where candidates come from, as in from: staging, or take soak out")
		}
	}
	return g
}

func readApprovals(gates object) *towpath.ApprovalRule {
	o, ok := gates.child("approvals")
	if !ok {
		return nil
	}
	o.only("count", "roles", "solo")
	rule := &towpath.ApprovalRule{Count: o.integer("count", 1, 1, maxApprovals), Solo: o.boolean("solo")}
	roles := o.texts("roles", true)
	for _, e := range roles {
		role := towpath.Role(e.n.text)
		if !slices.Contains(approverRoles(), role) {
			hint := didyoumean.Hint(e.n.text, approverRoles())
			message := fmt.Sprintf("there is no role %q", role)
			if slices.Contains(towpath.Roles(), role) {
				message, hint = fmt.Sprintf("the role %s can't approve", role), didyoumean.Hint("", approverRoles())
			}
			o.r.problem(e.n, e.path, message, hint)
			continue
		}
		rule.Roles = append(rule.Roles, role)
	}
	if n, ok := o.value("roles"); ok && n.kind == kindList && len(n.items) == 0 {
		o.r.problem(n, o.at("roles"), "there are no roles", "take roles out: approvers approve then")
	}
	slices.Sort(rule.Roles)
	return rule
}

// checkKey is what external systems call a check: "ci/load-test".
var checkKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,99}$`)

func readChecks(o object) []string {
	var out []string
	for _, e := range o.texts("checks", true) {
		if !checkKey.MatchString(e.n.text) {
			o.r.problem(e.n, e.path, fmt.Sprintf("%q is no key of a check", e.n.text), "use up to 100 letters, digits and . _ / : @ -, as in ci/load-test")
			continue
		}
		out = append(out, e.n.text)
	}
	slices.Sort(out)
	return out
}

func readReplicated(o object) []towpath.ReplicationName {
	var out []towpath.ReplicationName
	for _, e := range o.texts("replicated", true) {
		o.r.name(e.n, e.path, e.n.text)
		out = append(out, towpath.ReplicationName(e.n.text))
	}
	slices.Sort(out)
	return out
}
