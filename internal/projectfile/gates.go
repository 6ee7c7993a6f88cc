package projectfile

import (
	"slices"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

func readGates(env object) towpath.GateRules {
	o, ok := env.child("gates")
	if !ok {
		return towpath.GateRules{}
	}
	o.only("soak", "age", "replicated", "mirrored", "approvals", "windows", "checks", "signed", "provenance", "sbom", "scan")
	g := towpath.GateRules{
		Soak:       o.duration("soak", 0, 0, towpath.MaxSoak),
		Age:        o.duration("age", 0, 0, towpath.MaxAge),
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
			o.r.fault(n, o.at("soak"), towpath.SoakFault())
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
	rule := &towpath.ApprovalRule{Count: o.integer("count", 1, 1, towpath.MaxApprovals), Solo: o.boolean("solo")}
	roles := o.listed("roles")
	for _, e := range roles {
		if f := towpath.RoleFault(e.n.text); f != nil {
			got := e.n.text
			if slices.Contains(towpath.Roles(), towpath.Role(got)) {
				got = "" // no slip
			}
			o.r.problem(e.n, e.path, f.Message, didyoumean.Hint(got, towpath.ApproverRoles()))
			continue
		}
		rule.Roles = append(rule.Roles, towpath.Role(e.n.text))
	}
	if n, ok := o.value("roles"); ok && n.kind == kindList && len(n.items) == 0 {
		o.r.problem(n, o.at("roles"), "there are no roles", "take roles out: approvers approve then")
	}
	slices.Sort(rule.Roles)
	return rule
}

func readChecks(o object) []string {
	var out []string
	for _, e := range o.listed("checks") {
		o.r.fault(e.n, e.path, towpath.CheckKeyFault(e.n.text))
		out = append(out, e.n.text)
	}
	slices.Sort(out)
	return out
}

func readReplicated(o object) []towpath.ReplicationName {
	var out []towpath.ReplicationName
	for _, e := range o.listed("replicated") {
		o.r.name(e.n, e.path, e.n.text)
		out = append(out, towpath.ReplicationName(e.n.text))
	}
	slices.Sort(out)
	return out
}
