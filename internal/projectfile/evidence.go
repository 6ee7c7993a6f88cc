package projectfile

import (
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

func readSigned(gates object) *towpath.SignedRule {
	o, ok := gates.child("signed")
	if !ok {
		return nil
	}
	o.only("count", "keys")
	rule := &towpath.SignedRule{Count: o.integer("count", 1, 1, towpath.MaxSignatures), Keys: readKeys(o)}
	if n, ok := o.value("count"); ok {
		o.r.fault(n, o.at("count"), rule.Fault())
	}
	return rule
}

func readProvenance(gates object) *towpath.ProvenanceRule {
	o, ok := gates.child("provenance")
	if !ok {
		return nil
	}
	o.only("keys", "builders", "repositories", "branches", "reviewed")
	return &towpath.ProvenanceRule{
		Keys: readKeys(o), Builders: readSources(o, "builders", "the ID of a builder, as in https://ci.example.com/towpath"),
		Repositories: readSources(o, "repositories", "a repository as the provenance names it, as in https://git.example.com/shop"),
		Branches:     readBranches(o), Reviewed: o.boolean("reviewed"),
	}
}

func readSBOM(gates object) *towpath.SBOMRule {
	o, ok := gates.child("sbom")
	if !ok {
		return nil
	}
	o.only("keys", "complete")
	return &towpath.SBOMRule{Keys: readKeys(o), Complete: o.boolean("complete")}
}

func readScan(gates object) *towpath.ScanRule {
	o, ok := gates.child("scan")
	if !ok {
		return nil
	}
	o.only("keys", "severity", "maxAge", "tools", "exceptions")
	rule := &towpath.ScanRule{
		Keys: readKeys(o), Severity: towpath.Severity(o.str("severity", string(towpath.SeverityHigh))),
		MaxAge: o.duration("maxAge", 0, towpath.MinScanAge, towpath.MaxScanAge),
	}
	if n, ok := o.value("severity"); ok && n.kind == kindString && !slices.Contains(towpath.Severities(), rule.Severity) {
		o.r.problem(n, o.at("severity"), fmt.Sprintf("there is no severity %q", rule.Severity), didyoumean.Hint(n.text, towpath.Severities()))
	}
	for _, e := range atLeastOne(o, "tools", "take tools out: any counts then") {
		o.r.fault(e.n, e.path, towpath.TextFault(e.n.text))
		rule.Tools = append(rule.Tools, e.n.text)
	}
	slices.Sort(rule.Tools)
	all := o.list("exceptions")
	if n, ok := o.value("exceptions"); ok && len(all) > towpath.MaxListed {
		o.r.problem(n, o.at("exceptions"), fmt.Sprintf("there are %d exceptions", len(all)), fmt.Sprintf("at most %d are read", towpath.MaxListed))
	}
	for _, e := range all {
		x := o.r.object(e.path, e.n)
		x.only("id", "reason", "until")
		x.need("id", "name the finding, as in CVE-2026-1234")
		x.need("reason", "say why it may pass: whoever approves reads it")
		x.need("until", "say until when: an exception ends")
		ex := towpath.ScanException{ID: x.str("id", ""), Reason: x.str("reason", ""), Until: readDate(x, "until")}
		for _, key := range []string{"id", "reason"} {
			if n, ok := x.value(key); ok && n.kind == kindString {
				o.r.fault(n, x.at(key), towpath.TextFault(n.text))
			}
		}
		rule.Exceptions = append(rule.Exceptions, ex)
	}
	return rule
}

// readKeys are names of trusted keys; whether there are such keys is known to
// the server only.
func readKeys(o object) []towpath.KeyName {
	var out []towpath.KeyName
	for _, e := range atLeastOne(o, "keys", "take keys out: any key that is trusted counts then") {
		o.r.name(e.n, e.path, e.n.text)
		out = append(out, towpath.KeyName(e.n.text))
	}
	slices.Sort(out)
	return out
}

func readSources(o object, key, what string) []string {
	var out []string
	for _, e := range atLeastOne(o, key, "take "+key+" out: any counts then") {
		if f := towpath.SourceFault(e.n.text); f != nil {
			o.r.problem(e.n, e.path, f.Message, "write "+what)
		}
		out = append(out, e.n.text)
	}
	slices.Sort(out)
	return out
}

// readBranches are patterns as package gate matches them.
func readBranches(o object) []string {
	var out []string
	for _, e := range atLeastOne(o, "branches", "take branches out: any counts then") {
		o.r.fault(e.n, e.path, towpath.BranchPatternFault(e.n.text))
		out = append(out, e.n.text)
	}
	slices.Sort(out)
	return out
}

// atLeastOne are the texts of a list that, when it is there, is not empty: an
// empty one could be meant as "none" as well as "all".
func atLeastOne(o object, key, hint string) []entry {
	out := o.listed(key)
	if n, ok := o.value(key); ok && n.kind == kindList && len(n.items) == 0 {
		o.r.problem(n, o.at(key), "there are no "+key, hint)
	}
	return out
}
