package evidence

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

// TestReadReport_WhatTrivyDoesNotRate: it says so in a tag, and scores it with 0.0;
// a 0.0 without that tag is what others call harmless.
func TestReadReport_WhatTrivyDoesNotRate(t *testing.T) {
	got, err := ReadReport([]byte(`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy", "rules": [
		{"id": "CVE-1", "defaultConfiguration": {"level": "note"}, "properties": {"tags": ["vulnerability", "security", "UNKNOWN"], "security-severity": "0.0"}},
		{"id": "CVE-2", "defaultConfiguration": {"level": "note"}, "properties": {"tags": ["vulnerability", "UNKNOWN"]}},
		{"id": "CVE-3", "defaultConfiguration": {"level": "note"}, "properties": {"tags": ["vulnerability", "UNKNOWN"], "security-severity": "5.0"}},
		{"id": "CVE-4", "defaultConfiguration": {"level": "note"}, "properties": {"tags": ["vulnerability", "LOW"], "security-severity": "0.0"}},
		{"id": "CVE-5", "properties": {"tags": "UNKNOWN", "security-severity": "0.0"}}]}},
		"results": [{"ruleId": "CVE-1", "level": "note"}, {"ruleId": "CVE-2", "level": "note"}, {"ruleId": "CVE-3", "level": "note"}, {"ruleId": "CVE-4", "level": "note"}, {"ruleId": "CVE-5"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []towpath.ScanFinding{
		{ID: "CVE-1", Severity: "unknown"}, {ID: "CVE-2", Severity: "unknown"}, {ID: "CVE-3", Severity: "medium"}, {ID: "CVE-4", Severity: "low"}, {ID: "CVE-5", Severity: "low"},
	}
	if diff := cmp.Diff(want, got.Findings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
